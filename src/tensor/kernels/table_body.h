/* table_body.h - all kernel bodies and the table of one level. The including file sets RT_W, MICRO_ROWS,
 * KERNEL_SET and KERNEL_SET_NAME; its instruction set comes from its name (cmake/Flags.cmake). */
#include <math.h>

#include "format/half.h"
#include "tensor/kernels/tables.h"
#include "tensor/kernels/vec.h"

#define MICRO_VECS 2

#include "tensor/kernels/elementwise_body.h"
#include "tensor/kernels/norm_body.h"
#include "tensor/kernels/rope_body.h"
#include "tensor/kernels/glu_body.h"
#include "tensor/kernels/softmax_body.h"
#include "tensor/kernels/matvec_body.h"
#include "tensor/kernels/qmatvec_body.h"
#include "tensor/kernels/micro_body.h"
#include "tensor/kernels/attn_body.h"
#include "tensor/kernels/pair_body.h"
#include "tensor/kernels/attn_pair_body.h"
#include "tensor/kernels/adamw_body.h"
#include "tensor/kernels/bare_body.h"
#include "tensor/kernels/gemm_body.h"

const rt_kernel_set KERNEL_SET = {
    .ops = {
        .name = KERNEL_SET_NAME,
        .f32_to_bf16 = f32_to_bf16,
        .bf16_to_f32 = bf16_to_f32,
        .add = add,
        .axpy = axpy,
        .scale = scale,
        .dot = dot,
        .sum_squares = sum_squares,
        .rmsnorm = rmsnorm,
        .rmsnorm_backward = rmsnorm_backward,
        .rope = rope,
        .rope_pairs = rope_pairs,
        .glu = glu,
        .glu_backward = glu_backward,
        .attn = attn,
        .attn_backward = attn_backward,
        .attn_bf16 = attn_bf16,
        .attn_bf16_backward = attn_bf16_backward,
        .logsumexp = logsumexp,
        .softmax_scale = softmax_scale,
        .argmax = argmax,
        .matvec = matvec,
        .q8_rows = q8_rows,
        .qmatvec = qmatvec,
        .bare = bare,
        .adamw = adamw,
    },
    .gemm_tile = gemm_tile,
};
