// SVM's instructions; see svm.c and svm.def.
#ifndef CPU_INSN_SVM_H
#define CPU_INSN_SVM_H

#include "cpu/insn.h"

insn_fn x_vmrun, x_vmload, x_vmsave, x_vmmcall, x_stgi, x_clgi, x_rsm, x_skinit;

#endif
