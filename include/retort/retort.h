/* retort.h - all of retort for a program that embeds it: link libretort.a and the libraries `pkg-config --libs
 * retort` names. Functions return 0 or a negative rt_status and fill an rt_err, which the caller owns and may pass as
 * NULL. */
#ifndef RETORT_RETORT_H
#define RETORT_RETORT_H
#include <retort/base.h>
#include <retort/distil.h>
#include <retort/infer.h>
#include <retort/model.h>
#endif
