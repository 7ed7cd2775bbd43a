/* record.h - all of record. */
#ifndef RT_RECORD_RECORD_H
#define RT_RECORD_RECORD_H
#include "record/bom.h"
#include "record/card.h"
#include "record/evidence.h"
#include "record/gate.h"
#include "record/ledger.h"
#include "record/licence.h"
#include "record/manifest.h"
#include "record/provenance.h"
#endif
