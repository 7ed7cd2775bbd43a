/* core.h - all of core. */
#ifndef RT_CORE_CORE_H
#define RT_CORE_CORE_H
#include "core/child.h"
#include "core/cpu.h"
#include "core/dtype.h"
#include "core/err.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/rng.h"
#include "core/stat.h"
#include "core/str.h"
#include "core/sys.h"
#include "core/team.h"
#endif
