// What the TPM says of the start: PCR 17 and 18, into which SKINIT and the secure loader measured. TCG PC
// Client TIS 1.3; TPM Main 1.2 part 3; TPM Library 2.0 part 3.
#ifndef HOST_TPM_H
#define HOST_TPM_H

#include "host/types.h"

// Whether this CPU came here by SKINIT, which redirects INIT. APM2 15.27.1
bool tpm_skinit(void);
// A line for each of PCR 17 and 18, or one that says why not.
void tpm_show(void);

#endif
