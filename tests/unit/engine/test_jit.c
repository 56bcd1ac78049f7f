// What host code must not get wrong, once each: programs whose state is the same with and without the
// translator, however the run is cut into slices.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "engine/jit/jit.h"
#include "jitbed.h"

#define MOST 3000 // instructions of a program

// Guest code by the assembler; labels may be numbers only.
#define CODE(name, text)                                                                                     \
  extern const uint8_t name[], name##_end[];                                                                 \
  __asm__(".pushsection .rodata\n.intel_syntax noprefix\n.balign 256\n" #name ":\n" text "\n" #name          \
          "_end:\n.att_syntax\n.popsection")

struct pair {
  struct jitbed *a, *b; // without and with the translator
  uint64_t slice;
};

#define BOTH(p, what)                                                                                        \
  do {                                                                                                       \
    struct jitbed *bed = (p)->a;                                                                             \
    what;                                                                                                    \
    bed = (p)->b;                                                                                            \
    what;                                                                                                    \
  } while (0)

static struct pair pair_new(unsigned cpus, uint64_t slice)
{
  return (struct pair){jitbed_new(cpus, 0), jitbed_new(cpus, 1), slice};
}

static void pair_free(struct pair *p)
{
  jitbed_free(p->a);
  jitbed_free(p->b);
}

static void same(const struct pair *p)
{
  for (unsigned i = 0; i < p->a->cpus; i++) {
    const char *what = jitbed_differ_cpu(p->a, p->b, i);
    if (what)
      fail_msg("slices of %u, after %u instructions: %s", (unsigned)p->slice,
               (unsigned)p->a->cpu[i]->instructions, what);
  }
}

// Until both stop, or for MOST instructions.
static void go(struct pair *p)
{
  struct cpu *x = p->a->cpu[0], *y = p->b->cpu[0];
  while (interp_runnable(x) && x->instructions < MOST) {
    interp_run(&p->a->engine, x, p->slice);
    interp_run(&p->b->engine, y, p->slice);
    same(p);
  }
  const char *what = jitbed_differ_memory(p->a, p->b);
  if (what)
    fail_msg("slices of %u: %s", (unsigned)p->slice, what);
  assert_true(jit_stats(p->b->engine.code.jit).native > 0 || p->slice == 1);
}

static void load_at(struct pair *p, uint64_t at, const uint8_t *code, const uint8_t *end)
{
  BOTH(p, ram_write(&bed->ram, at, code, (uint64_t)(end - code)));
}

#define PROGRAM(p, name)      load_at(p, JB_CODE, name, name##_end)
#define SET(p, reg, value)    BOTH(p, bed->cpu[0]->r[reg] = (value))
#define IS(p, reg, value)     assert_int_equal((p)->b->cpu[0]->r[reg], value)
#define WORD_IS(p, at, value) assert_int_equal(word(p, at), value)
#define HANDLER_OF(vector)    (JB_HANDLERS + 16 * (vector))

static uint64_t word(const struct pair *p, uint64_t at)
{
  uint64_t v;
  memcpy(&v, p->b->ram.mem + at, 8);
  return v;
}

static void put_word(struct pair *p, uint64_t at, uint64_t v)
{
  BOTH(p, ram_write(&bed->ram, at, &v, 8));
}

// The frame of the exception that ended the program.
enum {
  FRAME_RSP = JB_STACK0 + 0x1000 - 16,
  FRAME_FLAGS = FRAME_RSP - 8,
  FRAME_IP = FRAME_RSP - 24,
  FRAME_ERROR = FRAME_RSP - 32
};

static void ended_by(const struct pair *p, unsigned vector, uint64_t ip)
{
  assert_int_equal(p->b->cpu[0]->run, RUN_HALTED);
  assert_int_equal(p->b->cpu[0]->ip, HANDLER_OF(vector) + 1);
  WORD_IS(p, FRAME_IP, ip);
}

static void ended_well(const struct pair *p)
{
  const struct cpu *c = p->b->cpu[0];
  assert_int_equal(c->run, RUN_HALTED);
  assert_in_range(c->ip, JB_CODE, JB_DATA);
}

static const uint64_t slices[] = {1, 2, 3, 4, 5, 6, 7, 11, 13, 29, 47, 48, 49, 101, MOST};

// A test for every length of slices.
#define TEST(name)                                                                                           \
  static void name##_(struct pair *p);                                                                       \
  static void name(void **state)                                                                             \
  {                                                                                                          \
    for (unsigned i = 0; i < sizeof slices / sizeof slices[0]; i++) {                                        \
      struct pair p = pair_new(1, slices[i]);                                                                \
      name##_(&p);                                                                                           \
      pair_free(&p);                                                                                         \
    }                                                                                                        \
  }                                                                                                          \
  static void name##_(struct pair *p)

// ---- faults ----

CODE(walk_reading, "1: add rax, 3\n cmp rax, rcx\n mov rdx, [rbx]\n add rdx, 1\n add rbx, 64\n jmp 1b");

TEST(a_read_that_faults_in_a_block_shows_the_state_before_it)
{
  PROGRAM(p, walk_reading);
  SET(p, RBX, JB_READONLY + 0x400);
  SET(p, RCX, 3 * 49); // equal when it faults
  go(p);
  ended_by(p, VEC_PF, JB_CODE + 7);
  assert_int_equal(p->b->cpu[0]->cr2, JB_MISSING);
  WORD_IS(p, FRAME_ERROR, 0);
  assert_int_equal(word(p, FRAME_FLAGS) & FL_ARITH, FL_ZF | FL_PF);
  IS(p, RAX, 3 * 49);
  IS(p, RDX, 1);
}

CODE(walk_writing, "1: add rax, 3\n cmp rax, rcx\n add [rbx], rdx\n inc rdx\n add rbx, 64\n jmp 1b");

TEST(a_write_that_faults_in_a_block_shows_the_state_before_it)
{
  PROGRAM(p, walk_writing);
  SET(p, RBX, JB_DATA + 0x1c00);
  SET(p, RCX, 3 * 17);
  go(p);
  ended_by(p, VEC_PF, JB_CODE + 7);
  assert_int_equal(p->b->cpu[0]->cr2, JB_READONLY);
  WORD_IS(p, FRAME_ERROR, 3);
  IS(p, RDX, 16);
  WORD_IS(p, JB_DATA + 0x1fc0, 15);
}

CODE(walk_pushing, "1: inc rax\n push rax\n push 5\n push [rsp + 8]\n pop rbx\n add rcx, rbx\n jmp 1b");

TEST(a_push_that_faults_leaves_the_stack_pointer)
{
  PROGRAM(p, walk_pushing);
  BOTH(p, jitbed_map(bed, JB_STACK, 0));
  SET(p, RSP, JB_STACK + 0x1000 + 64 + 8);
  go(p);
  ended_by(p, VEC_PF, JB_CODE + 4);
  assert_int_equal(p->b->cpu[0]->cr2, JB_STACK + 0x1000 - 8);
  WORD_IS(p, FRAME_RSP, JB_STACK + 0x1000);
}

// Neighbours share one check of the translator's; the second of them faults.
CODE(neighbours, "mov r8d, 20\n"
                 "1: mov rax, [rbx]\n inc rax\n mov [rbx + 8], rax\n mov rcx, [rbx + 24]\n mov rdx, [rbx + "
                 "16]\n add rbx, 8\n"
                 "dec r8d\n jnz 1b\n hlt");

TEST(of_neighbours_each_faults_by_itself)
{
  PROGRAM(p, neighbours);
  SET(p, RBX, JB_READONLY + 0x1000 - 64);
  BOTH(p, jitbed_map(bed, JB_READONLY, JB_READONLY | 0x67));
  go(p);
  ended_by(p, VEC_PF, JB_CODE + 16);
  assert_int_equal(p->b->cpu[0]->cr2, JB_MISSING);
  IS(p, RBX, JB_READONLY + 0x1000 - 24);
}

// A page that may be read: what shares the check of a read does not write.
CODE(read_then_write, "mov r8d, 20\n mov rax, [rdi]\n"
                      "1: mov rax, [rbx]\n inc rax\n mov [rbx + 8], rax\n mov rcx, [rbx + 16]\n"
                      "dec r8d\n cmovz rbx, rdi\n cmp r8d, -1\n jne 1b\n hlt");

TEST(a_write_that_shares_the_check_of_a_read_faults)
{
  PROGRAM(p, read_then_write);
  SET(p, RBX, JB_DATA);
  SET(p, RDI, JB_READONLY);
  go(p);
  ended_by(p, VEC_PF, JB_CODE + 15);
  assert_int_equal(p->b->cpu[0]->cr2, JB_READONLY + 8);
  WORD_IS(p, FRAME_ERROR, 3);
}

CODE(
    crossing,
    "mov ecx, 30\n"
    "1: mov rax, [rbx]\n add [rbx], rcx\n push rcx\n pop rdx\n xchg rdx, [rbx + 3]\n inc byte ptr [rbx + 4]\n"
    "inc rbx\n inc rsp\n dec ecx\n jnz 1b\n hlt");

TEST(an_access_may_cross_a_page)
{
  PROGRAM(p, crossing);
  SET(p, RBX, JB_DATA + 0x1000 - 16);
  SET(p, RSP, JB_STACK + 0x1000 - 8);
  go(p);
  ended_well(p);
}

CODE(crossing_out, "mov ecx, 30\n 1: add rax, rcx\n add [rbx], rcx\n inc rbx\n dec ecx\n jnz 1b\n hlt");

TEST(a_write_that_crosses_into_a_missing_page_writes_nothing)
{
  PROGRAM(p, crossing_out);
  BOTH(p, jitbed_map(bed, JB_READONLY, 0));
  SET(p, RBX, JB_DATA + 0x2000 - 12);
  go(p);
  ended_by(p, VEC_PF, JB_CODE + 8);
  IS(p, RCX, 25);
  assert_int_equal(p->b->cpu[0]->cr2, JB_READONLY);
}

// ---- code that changes ----

CODE(change_later,
     "mov ecx, 40\n"
     "1: inc byte ptr [rip + 2f + 1]\n add rdx, rcx\n 2: mov eax, 0\n add rsi, rax\n dec ecx\n jnz 1b\n hlt");

TEST(a_store_into_a_later_instruction_of_its_block_counts_at_once)
{
  PROGRAM(p, change_later);
  go(p);
  ended_well(p);
  IS(p, RSI, 40 * 41 / 2);
}

CODE(change_earlier,
     "mov ecx, 40\n"
     "1: mov eax, 0\n add rsi, rax\n inc byte ptr [rip + 1b + 1]\n add rdx, rcx\n dec ecx\n jnz 1b\n hlt");

TEST(a_store_into_an_earlier_instruction_of_a_loop_counts_in_the_next_round)
{
  PROGRAM(p, change_earlier);
  go(p);
  ended_well(p);
  IS(p, RSI, 39 * 40 / 2);
}

// The loop is the block: its last instruction becomes INC EBX; HLT.
CODE(change_end,
     "mov rdi, rsp\n mov ecx, 200\n"
     "1: inc rax\n cmp rax, 100\n sete dl\n shl edx, 7\n mov [r8 + rdx], r9\n dec ecx\n jnz 1b\n hlt");

TEST(a_loop_that_stores_over_its_own_end_goes_there)
{
  PROGRAM(p, change_end);
  SET(p, R8, JB_CODE_ALIAS + 25 - 0x80);
  SET(p, R9, 0xf4f4f4f4f4f4c3ff);
  go(p);
  assert_int_equal(p->b->cpu[0]->run, RUN_HALTED);
  IS(p, RAX, 100);
  IS(p, RBX, 1);
}

CODE(change_other, "mov ecx, 50\n"
                   "1: call 3f\n add rsi, rax\n inc byte ptr [rdi]\n lea rbx, [rip + 3f]\n call rbx\n add "
                   "rsi, rax\n dec ecx\n"
                   "jnz 1b\n hlt\n .balign 256\n"
                   "3: mov eax, 0\n ret");

TEST(a_store_into_a_translated_function_counts_at_the_next_call)
{
  PROGRAM(p, change_other);
  SET(p, RSP, JB_STACK + 0x1000);
  SET(p, RDI, JB_CODE_ALIAS + 0x101);
  go(p);
  ended_well(p);
  IS(p, RSI, 50 * 50);
}

// As the one before, but what is called is in another page: by the jump cache alone.
CODE(
    change_far,
    "mov ecx, 50\n"
    "1: call rbx\n add rsi, rax\n inc byte ptr [rbx + 1]\n call rbx\n add rsi, rax\n dec ecx\n jnz 1b\n hlt");
CODE(far_function, "mov eax, 0\n ret");

TEST(the_jump_cache_does_not_lead_into_code_that_was_changed)
{
  PROGRAM(p, change_far);
  load_at(p, JB_CODE + 0x1100, far_function, far_function_end);
  SET(p, RSP, JB_STACK + 0x1000);
  SET(p, RBX, JB_CODE + 0x1100);
  go(p);
  ended_well(p);
  IS(p, RSI, 50 * 50);
}

CODE(pushes_code, "mov ecx, 20\n 1: lea rsp, [rip + 2f + 5]\n add rax, 1\n call 2f\n 2: mov ebx, 1\n add "
                  "rsi, rbx\n dec ecx\n jnz 1b\n hlt");

TEST(a_call_whose_return_address_overwrites_its_target_goes_into_what_is_there_then)
{
  PROGRAM(p, pushes_code);
  go(p);
  assert_int_not_equal(p->b->cpu[0]->run, RUN_ON);
}

// ---- devices, events, slices ----

CODE(device, "mov ecx, 100\n 1: add rdx, rcx\n mov eax, [rbx]\n add rsi, rax\n add [rbx + 8], rsi\n rol rsi, "
             "3\n push [rbx]\n pop rdi\n"
             "xor rsi, rdi\n dec ecx\n jnz 1b\n hlt");

TEST(a_device_is_accessed_in_the_middle_of_a_block)
{
  PROGRAM(p, device);
  SET(p, RBX, JB_DEVICE);
  SET(p, RSP, JB_STACK + 0x1000);
  go(p);
  ended_well(p);
  assert_true(p->b->heard != 0);
}

CODE(spin, "1: inc rax\n add rbx, rax\n dec rcx\n jnz 1b\n hlt");
CODE(count_nmi, "add qword ptr [0x20000], rax\n iretq"); // at JB_DATA

// Where exceptions and NMIs of a vector go; not to HLT.
static void handle(struct pair *p, unsigned vector, const uint8_t *handler, const uint8_t *end)
{
  const uint64_t to = JB_CODE + 0x800;
  put_word(p, JB_IDT + 16 * vector, (to & 0xffff) | 8ull << 16 | 0x8e01ull << 32 | to >> 16 << 48);
  load_at(p, to, handler, end);
}

TEST(an_event_after_a_slice_comes_between_the_same_instructions)
{
  PROGRAM(p, spin);
  handle(p, VEC_NMI, count_nmi, count_nmi_end);
  SET(p, RCX, 200);
  struct cpu *x = p->a->cpu[0];
  for (unsigned i = 0; x->run == RUN_ON && i < MOST; i++) {
    interp_run(&p->a->engine, x, p->slice);
    interp_run(&p->b->engine, p->b->cpu[0], p->slice);
    same(p);
    if (i % 5 == 0)
      BOTH(p, cpu_request(bed->cpu[0], PEND_NMI));
  }
  WORD_IS(p, JB_DATA, word(&(struct pair){.b = p->a}, JB_DATA));
  ended_well(p);
}

TEST(a_loop_of_one_block_ends_with_the_slice)
{
  PROGRAM(p, spin);
  SET(p, RCX, ~0ull);
  go(p);
  assert_in_range(p->b->cpu[0]->instructions, MOST, MOST + p->slice);
}

CODE(trap, "mov ecx, 20\n 1: add rax, rcx\n dec ecx\n jnz 1b\n"
           "pushfq\n or qword ptr [rsp], 0x100\n popfq\n"
           "mov ecx, 5\n 1: add rax, rcx\n call 3f\n dec ecx\n jnz 1b\n"
           "pushfq\n and qword ptr [rsp], -0x101\n popfq\n"
           "mov ecx, 20\n 1: add rax, rcx\n call 3f\n dec ecx\n jnz 1b\n hlt\n"
           "3: xor rax, rcx\n ret");
CODE(count_trap, "inc qword ptr [0x20000]\n iretq");

TEST(single_steps_through_code_that_is_translated)
{
  PROGRAM(p, trap);
  handle(p, VEC_DB, count_trap, count_trap_end);
  SET(p, RSP, JB_STACK + 0x1000);
  go(p);
  ended_well(p);
  WORD_IS(p, JB_DATA, 34); // MOV, 5 times ADD CALL XOR RET DEC JNZ, PUSHF, AND, POPF
}

CODE(watch, "mov ecx, 20\n 1: inc qword ptr [rbx]\n inc rax\n add [rbx + 16], rax\n dec ecx\n jnz 1b\n"
            "mov edx, 0x90401\n mov dr0, rbx\n mov dr7, rdx\n" // 8 bytes, writes
            "mov ecx, 20\n jmp 1b");

TEST(a_watchpoint_that_is_set_counts_in_code_that_is_translated)
{
  PROGRAM(p, watch);
  SET(p, RBX, JB_DATA + 0x100);
  go(p);
  ended_by(p, VEC_DB, JB_CODE + 8);
  WORD_IS(p, JB_DATA + 0x100, 21);
  IS(p, RAX, 20);
  assert_int_equal(p->b->cpu[0]->dr6 & 1, 1);
}

CODE(breakpoint,
     "mov ecx, 20\n 1: inc rax\n inc rbx\n dec ecx\n jnz 1b\n"
     "lea rdx, [rip + 1b + 3]\n mov dr0, rdx\n mov edx, 0x401\n mov dr7, rdx\n mov ecx, 20\n jmp 1b");

TEST(a_breakpoint_that_is_set_counts_in_code_that_is_translated)
{
  PROGRAM(p, breakpoint);
  go(p);
  ended_by(p, VEC_DB, JB_CODE + 8);
  IS(p, RAX, 21);
  IS(p, RBX, 20);
}

// ---- translations of addresses ----

// The page table is at JB_END. rdi: the entry of JB_DATA2; r9: what it becomes in turn.
CODE(remap,
     "mov ecx, 20\n"
     "1: mov rax, [rbx]\n add rsi, rax\n inc qword ptr [rbx]\n mov rdx, [rdi]\n mov [rdi], r9\n mov r9, rdx\n"
     "add rsi, [rbx + 8]\n test ecx, 1\n jz 2f\n invlpg [rbx]\n jmp 3f\n 2: mov rdx, cr3\n mov cr3, rdx\n 3: "
     "add rsi, [rbx + 16]\n"
     "dec ecx\n jnz 1b\n hlt");

TEST(a_page_that_is_mapped_elsewhere_is_found_there_after_a_flush)
{
  PROGRAM(p, remap);
  BOTH(p, jitbed_map(bed, JB_END, JB_PT | 0x63));
  SET(p, RBX, JB_DATA2);
  SET(p, RDI, JB_END + (JB_DATA2 >> 12) * 8);
  SET(p, R9, JB_DATA | 0x67);
  go(p);
  ended_well(p);
  WORD_IS(p, JB_DATA2, 10);
  WORD_IS(p, JB_DATA, 10);
}

// What is called moves to another page and back; each has a translated block at this address.
CODE(
    moved_code,
    "mov ecx, 20\n 1: call rbx\n add rsi, rax\n mov rdx, [rdi]\n mov [rdi], r9\n mov r9, rdx\n invlpg [rbx]\n"
    "call rbx\n add rsi, rax\n dec ecx\n jnz 1b\n hlt");
CODE(returns_1, "mov eax, 1\n ret");
CODE(returns_100, "mov eax, 100\n ret");

TEST(code_whose_page_is_mapped_elsewhere_is_called_there)
{
  PROGRAM(p, moved_code);
  load_at(p, JB_CODE + 0x1000, returns_1, returns_1_end);
  load_at(p, JB_CODE + 0x2000, returns_100, returns_100_end);
  BOTH(p, jitbed_map(bed, JB_END, JB_PT | 0x63));
  BOTH(p, jitbed_map(bed, JB_CODE_ALIAS, (JB_CODE + 0x1000) | 0x67));
  SET(p, RSP, JB_STACK + 0x1000);
  SET(p, RBX, JB_CODE_ALIAS);
  SET(p, RDI, JB_END + (JB_CODE_ALIAS >> 12) * 8);
  SET(p, R9, (JB_CODE + 0x2000) | 0x67);
  go(p);
  ended_well(p);
  IS(p, RSI, 20 * 101);
}

CODE(aliased, "mov ecx, 20\n 1: lea rax, [rip + 2f]\n add rsi, rax\n mov rdx, [rip + 2f + 0x100]\n add rsi, "
              "rdx\n call 2f\n"
              "2: pop rax\n add rsi, rax\n dec ecx\n jnz 1b\n xor rdi, r8\n jmp rdi\n");

TEST(a_block_runs_at_two_addresses)
{
  PROGRAM(p, aliased);
  SET(p, RSP, JB_STACK + 0x1000);
  SET(p, RDI, JB_CODE);
  SET(p, R8, JB_CODE ^ JB_CODE_ALIAS);
  go(p);
  assert_int_equal(p->b->cpu[0]->run, RUN_ON);
}

// ---- branches ----

// Goes round some times by good addresses, then by that in r8.
#define BRANCH_LOOP(name, branch)                                                                            \
  CODE(name, "mov ecx, 10\n 1: lea rbx, [rip + 2f]\n dec ecx\n cmovz rbx, r8\n cmovz rsp, r9\n mov [rdi], "  \
             "rbx\n" branch "\n .balign 64\n 2: inc rax\n jmp 1b")

BRANCH_LOOP(jmp_register, "jmp rbx");
BRANCH_LOOP(jmp_memory, "jmp [rdi]");
BRANCH_LOOP(call_register, "call rbx");
BRANCH_LOOP(call_memory, "call [rdi]");
BRANCH_LOOP(by_ret, "push rbx\n ret");
BRANCH_LOOP(by_ret_imm, "push rbx\n push rbx\n ret 8");
CODE(call_direct,
     "mov ecx, 10\n 1: nop\n dec ecx\n cmovz rsp, r9\n call 2f\n .balign 64\n 2: inc rax\n jmp 1b");

struct branch {
  const uint8_t *code, *end;
};
#define BRANCH(name)                                                                                         \
  {                                                                                                          \
    name, name##_end                                                                                         \
  }

// The tenth branch goes to `to` with RSP = `stack`, and faults.
static void branches(struct pair *p, const struct branch *all, unsigned count, uint64_t to, uint64_t stack,
                     unsigned vector)
{
  for (unsigned i = 0; i < count; i++) {
    BOTH(p, jitbed_start(bed, 0, 0));
    load_at(p, JB_CODE, all[i].code, all[i].end);
    SET(p, RAX, 0);
    SET(p, RSP, JB_STACK + 0x1000);
    SET(p, RDI, JB_DATA);
    SET(p, R8, to);
    SET(p, R9, stack);
    go(p);
    assert_int_equal(p->b->cpu[0]->run, RUN_HALTED);
    assert_int_equal(p->b->cpu[0]->ip, HANDLER_OF(vector) + 1);
    IS(p, RAX, 9);
  }
}

TEST(a_branch_to_an_address_that_is_not_canonical_faults_before_it_does_anything)
{
  static const struct branch all[] = {BRANCH(jmp_register), BRANCH(jmp_memory), BRANCH(call_register),
                                      BRANCH(call_memory),  BRANCH(by_ret),     BRANCH(by_ret_imm)};
  branches(p, all, 6, 1ull << 47, JB_STACK + 0x1000, VEC_GP);
  branches(p, all, 6, ~0ull >> 1, JB_STACK + 0x1000, VEC_GP);
}

TEST(a_call_whose_stack_faults_has_not_happened)
{
  static const struct branch all[] = {BRANCH(call_direct), BRANCH(call_register), BRANCH(call_memory),
                                      BRANCH(by_ret)};
  branches(p, all, 4, JB_CODE + 64, JB_MISSING + 0x1000, VEC_PF);
  branches(p, all, 4, JB_CODE + 64, JB_READONLY + 0x1000, VEC_PF);
  branches(p, all, 4, JB_CODE + 64, JB_MISSING + 0x1004, VEC_PF);
  branches(p, all, 4, JB_CODE + 64, 1ull << 47 | 8, VEC_SS);
}

TEST(a_call_by_register_or_memory_looks_at_its_target_before_the_stack)
{
  static const struct branch all[] = {BRANCH(call_register), BRANCH(call_memory)};
  branches(p, all, 2, 1ull << 47, JB_MISSING + 0x1000, VEC_GP);
}

CODE(good_branches, "mov ecx, 10\n 1: lea rbx, [rip + 2f]\n mov [rdi], rbx\n dec ecx\n jz 9f\n"
                    "jmp rbx\n .balign 64\n 2: inc rax\n lea rbx, [rip + 3f]\n mov [rdi], rbx\n jmp [rdi]\n"
                    ".balign 64\n 3: inc rax\n lea rbx, [rip + 4f]\n call rbx\n mov [rdi], rbx\n call "
                    "[rdi]\n call 4f\n push rax\n call 5f\n"
                    "jmp 1b\n 4: add rax, 16\n ret\n 5: inc rdx\n ret 8\n 9: hlt");

TEST(branches_of_all_kinds_lead_where_they_should)
{
  PROGRAM(p, good_branches);
  SET(p, RSP, JB_STACK + 0x1000);
  SET(p, RDI, JB_DATA);
  go(p);
  ended_well(p);
  IS(p, RAX, 9 * 50);
  IS(p, RDX, 9);
  IS(p, RSP, JB_STACK + 0x1000);
}

// The displacement from the start of the block does not fit into 32 bits.
CODE(far_jump, ".rept 20\n nop\n .endr\n .byte 0xe9\n .long 0x7ffffff0");
CODE(far_call, ".rept 20\n nop\n .endr\n .byte 0xe8\n .long 0x7ffffff0");
CODE(far_jcc, ".rept 20\n nop\n .endr\n .byte 0x0f, 0x89\n .long 0x7ffffff0");

TEST(a_branch_leads_as_far_as_it_says)
{
  static const struct branch all[] = {BRANCH(far_jump), BRANCH(far_call), BRANCH(far_jcc)};
  for (unsigned i = 0; i < 3; i++) {
    BOTH(p, jitbed_start(bed, 0, 0));
    load_at(p, JB_CODE, all[i].code, all[i].end);
    SET(p, RSP, JB_STACK + 0x1000);
    go(p);
    assert_int_equal(p->b->cpu[0]->ip, HANDLER_OF(VEC_PF) + 1);
    assert_int_equal(p->b->cpu[0]->cr2, JB_CODE + (all[i].end - all[i].code) + 0x7ffffff0);
  }
}

CODE(long_block, "mov ecx, 7\n 1: .rept 130\n inc rax\n .endr\n dec ecx\n jnz 1b\n hlt");

TEST(code_longer_than_a_block_runs_on)
{
  PROGRAM(p, long_block);
  go(p);
  ended_well(p);
  IS(p, RAX, 7 * 130);
}

CODE(over_the_end, "mov ecx, 20\n 1: add rax, 1\n add rbx, 0x12345678\n add rax, 2\n dec ecx\n jnz 1b\n hlt");

TEST(code_goes_on_in_the_next_page)
{
  for (unsigned i = 0; i < 24; i++) {
    BOTH(p, jitbed_start(bed, 0, 0));
    load_at(p, JB_CODE + 0x1000 - i, over_the_end, over_the_end_end);
    BOTH(p, bed->cpu[0]->ip = JB_CODE + 0x1000 - i);
    SET(p, RAX, 0);
    go(p);
    ended_well(p);
    IS(p, RAX, 60);
  }
}

// ---- modes ----

CODE(twice, "mov ecx, 5\n 1: add rax, [rbx]\n inc rax\n dec ecx\n jnz 1b\n mov [rdi], rax\n ud2");

TEST(a_block_runs_at_two_privilege_levels)
{
  BOTH(p, jitbed_map(bed, JB_DATA2, JB_DATA2 | 0x63)); // not for privilege 3
  for (unsigned i = 0; i < 6; i++) {
    BOTH(p, jitbed_start(bed, 0, i & 1 ? 3 : 0));
    PROGRAM(p, twice);
    SET(p, RBX, JB_DATA2 + 8);
    SET(p, RDI, JB_DATA);
    go(p);
    ended_by(p, i & 1 ? VEC_PF : VEC_UD, i & 1 ? JB_CODE + 5 : JB_CODE + 18);
  }
}

CODE(smap, "mov ecx, 20\n 1: stac\n mov rax, [rbx]\n inc rax\n mov [rbx], rax\n cmp ecx, 3\n je 2f\n clac\n "
           "2: add rdx, rax\n"
           "cmp ecx, 3\n jne 3f\n clac\n 3: dec ecx\n jnz 1b\n mov rax, [rbx]\n hlt");

TEST(pages_of_privilege_3_are_reached_as_AC_says)
{
  PROGRAM(p, smap);
  SET(p, RBX, JB_DATA);
  BOTH(p, bed->cpu[0]->cr4 |= CR4_SMAP);
  BOTH(p, cpu_changed(bed->cpu[0]));
  go(p);
  ended_by(p, VEC_PF, JB_CODE + 40);
  WORD_IS(p, JB_DATA, 20);
}

CODE(aligned, "mov ecx, 20\n"
              "1: mov rax, [rbx]\n add rdx, rax\n mov [rbx + 8], rdx\n dec ecx\n jnz 1b\n"
              "pushfq\n xor dword ptr [rsp], 0x40000\n popfq\n mov ecx, 20\n jmp 1b");

TEST(alignment_is_checked_from_when_AC_is_set)
{
  for (unsigned i = 0; i < 2; i++) {
    BOTH(p, jitbed_start(bed, 0, 3));
    PROGRAM(p, aligned);
    SET(p, RBX, JB_DATA + 1);
    SET(p, RSP, JB_STACK + 0x1000);
    BOTH(p, bed->cpu[0]->cr0 |= CR0_AM);
    BOTH(p, cpu_changed(bed->cpu[0]));
    go(p);
    ended_by(p, VEC_AC, JB_CODE + 5);
  }
}

// ---- memory for host code ----

CODE(much, "1: .rept 700\n add [rbx + rcx], rax\n .endr\n inc rax\n call 2f\n hlt\n 2: ret");

static void when_the_memory_for_host_code_is_full_translation_begins_anew(void **state)
{
  struct pair p = pair_new(1, 1000);
  const struct code *a = &p.a->engine.code, *b = &p.b->engine.code;
  uint64_t blocks = 0;
  for (unsigned i = 0; i < 3000 && b->emptied < a->emptied + 3; i++) {
    BOTH(&p, jitbed_start(bed, 0, 0));
    PROGRAM(&p, much);
    SET(&p, RBX, JB_DATA);
    SET(&p, RSP, JB_STACK + 0x1000);
    go(&p);
    ended_well(&p);
    uint64_t now = jit_stats(b->jit).blocks;
    assert_true(now > blocks || jit_full(b->jit));
    blocks = now;
  }
  assert_true(b->emptied >= a->emptied + 3);
  pair_free(&p);
}

// ---- two processors ----

CODE(both_count, "1: lock inc qword ptr [rbx]\n inc rax\n mov edx, 0\n add rsi, rdx\n cmp r8, 1\n jne 1b\n "
                 "inc byte ptr [rdi]\n jmp 1b");

static void two_processors_run_the_same_block_which_one_of_them_changes(void **state)
{
  struct pair p = pair_new(2, 0);
  PROGRAM(&p, both_count);
  for (unsigned i = 0; i < 2; i++) {
    BOTH(&p, bed->cpu[i]->r[RBX] = JB_DATA);
    BOTH(&p, bed->cpu[i]->r[R8] = i);
    BOTH(&p, bed->cpu[i]->r[RDI] = JB_CODE_ALIAS + 8);
  }
  for (uint64_t n = 1; n < 200000; n += n / 3 + 1) {
    BOTH(&p, bed->engine.limit = n);
    BOTH(&p, while (engine_run(&bed->engine) == ENGINE_POLL));
    same(&p);
  }
  assert_null(jitbed_differ_memory(p.a, p.b));
  assert_true(word(&p, JB_DATA) == p.b->cpu[0]->r[RAX] + p.b->cpu[1]->r[RAX]);
  assert_true(p.b->cpu[0]->r[RSI] > 0);
  pair_free(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_read_that_faults_in_a_block_shows_the_state_before_it),
      cmocka_unit_test(a_write_that_faults_in_a_block_shows_the_state_before_it),
      cmocka_unit_test(a_push_that_faults_leaves_the_stack_pointer),
      cmocka_unit_test(of_neighbours_each_faults_by_itself),
      cmocka_unit_test(a_write_that_shares_the_check_of_a_read_faults),
      cmocka_unit_test(code_whose_page_is_mapped_elsewhere_is_called_there),
      cmocka_unit_test(an_access_may_cross_a_page),
      cmocka_unit_test(a_write_that_crosses_into_a_missing_page_writes_nothing),
      cmocka_unit_test(a_store_into_a_later_instruction_of_its_block_counts_at_once),
      cmocka_unit_test(a_store_into_an_earlier_instruction_of_a_loop_counts_in_the_next_round),
      cmocka_unit_test(a_loop_that_stores_over_its_own_end_goes_there),
      cmocka_unit_test(a_store_into_a_translated_function_counts_at_the_next_call),
      cmocka_unit_test(the_jump_cache_does_not_lead_into_code_that_was_changed),
      cmocka_unit_test(a_call_whose_return_address_overwrites_its_target_goes_into_what_is_there_then),
      cmocka_unit_test(a_device_is_accessed_in_the_middle_of_a_block),
      cmocka_unit_test(an_event_after_a_slice_comes_between_the_same_instructions),
      cmocka_unit_test(a_loop_of_one_block_ends_with_the_slice),
      cmocka_unit_test(single_steps_through_code_that_is_translated),
      cmocka_unit_test(a_watchpoint_that_is_set_counts_in_code_that_is_translated),
      cmocka_unit_test(a_breakpoint_that_is_set_counts_in_code_that_is_translated),
      cmocka_unit_test(a_page_that_is_mapped_elsewhere_is_found_there_after_a_flush),
      cmocka_unit_test(a_block_runs_at_two_addresses),
      cmocka_unit_test(a_branch_to_an_address_that_is_not_canonical_faults_before_it_does_anything),
      cmocka_unit_test(a_call_whose_stack_faults_has_not_happened),
      cmocka_unit_test(a_call_by_register_or_memory_looks_at_its_target_before_the_stack),
      cmocka_unit_test(branches_of_all_kinds_lead_where_they_should),
      cmocka_unit_test(a_branch_leads_as_far_as_it_says),
      cmocka_unit_test(code_longer_than_a_block_runs_on),
      cmocka_unit_test(code_goes_on_in_the_next_page),
      cmocka_unit_test(a_block_runs_at_two_privilege_levels),
      cmocka_unit_test(pages_of_privilege_3_are_reached_as_AC_says),
      cmocka_unit_test(alignment_is_checked_from_when_AC_is_set),
      cmocka_unit_test(when_the_memory_for_host_code_is_full_translation_begins_anew),
      cmocka_unit_test(two_processors_run_the_same_block_which_one_of_them_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
