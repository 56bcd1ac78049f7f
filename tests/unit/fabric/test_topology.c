// Topologies: defaults, limits of ports, shortest ways, broadcasts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fabric/topology.h"

static void up_to_as_many_nodes_as_ports_all_are_neighbours(void **state)
{
  for (unsigned ports = 3; ports <= 4; ports++)
    for (unsigned nodes = 2; nodes <= ports; nodes++) {
      struct topology t;
      topology_init(&t, nodes, ports);
      topology_default(&t);
      assert_true(topology_route(&t));
      for (unsigned a = 0; a < nodes; a++)
        for (unsigned b = 0; b < nodes; b++)
          assert_int_equal(t.hops[a][b], a != b);
    }
}

static void more_nodes_form_a_ring(void **state)
{
  for (unsigned nodes = 5; nodes <= 8; nodes++) {
    struct topology t;
    topology_init(&t, nodes, 4);
    topology_default(&t);
    assert_true(topology_route(&t));
    for (unsigned a = 0; a < nodes; a++)
      for (unsigned b = 0; b < nodes; b++) {
        unsigned up = (b + nodes - a) % nodes, down = (a + nodes - b) % nodes;
        assert_int_equal(t.hops[a][b], up < down ? up : down);
      }
  }
}

static void a_node_has_no_more_links_than_ports(void **state)
{
  struct topology t;
  topology_init(&t, 4, 3);
  assert_true(topology_join(&t, 0, 1));
  assert_false(topology_join(&t, 1, 0));
  assert_false(topology_join(&t, 2, 2));
  assert_true(topology_join(&t, 0, 2));
  assert_false(topology_join(&t, 0, 3));
  assert_int_equal(t.peer[0][0], PORT_IO);
  assert_int_equal(t.peer[0][1], 1);
  assert_int_equal(t.peer[0][2], 2);
  assert_int_equal(t.peer[0][3], PORT_FREE);
  assert_false(topology_route(&t)); // nobody is linked to 3
  assert_true(topology_join(&t, 3, 1));
  assert_true(topology_route(&t));
  assert_int_equal(t.hops[3][2], 3);
}

static void following_the_next_ports_takes_the_hops(void **state)
{
  struct topology t;
  topology_init(&t, 8, 4);
  static const uint8_t ladder[][2] = {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {0, 2},
                                      {2, 4}, {4, 6}, {1, 3}, {3, 5}, {5, 7}};
  for (unsigned i = 0; i < sizeof ladder / sizeof ladder[0]; i++)
    assert_true(topology_join(&t, ladder[i][0], ladder[i][1]));
  assert_true(topology_route(&t));
  assert_int_equal(t.hops[0][7], 4);
  for (unsigned a = 0; a < 8; a++)
    for (unsigned b = 0; b < 8; b++) {
      unsigned at = a, hops = 0;
      for (; at != b && hops < 8; hops++)
        at = t.peer[at][t.next[at][b]];
      assert_int_equal(at, b);
      assert_int_equal(hops, t.hops[a][b]);
    }
}

static unsigned flood(const struct topology *t, unsigned at, unsigned source, uint8_t seen[8])
{
  unsigned n = 1;
  assert_int_equal(seen[at]++, 0);
  for (unsigned p = 0; p < t->ports; p++)
    if (t->spread[at][source] >> p & 1)
      n += flood(t, t->peer[at][p], source, seen);
  return n;
}

static void a_broadcast_reaches_every_node_once(void **state)
{
  for (unsigned nodes = 1; nodes <= 8; nodes++) {
    struct topology t;
    topology_init(&t, nodes, 4);
    topology_default(&t);
    assert_true(topology_route(&t));
    for (unsigned source = 0; source < nodes; source++) {
      uint8_t seen[8] = {0};
      assert_int_equal(flood(&t, source, source, seen), nodes);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(up_to_as_many_nodes_as_ports_all_are_neighbours),
      cmocka_unit_test(more_nodes_form_a_ring),
      cmocka_unit_test(a_node_has_no_more_links_than_ports),
      cmocka_unit_test(following_the_next_ports_takes_the_hops),
      cmocka_unit_test(a_broadcast_reaches_every_node_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
