/*
 * mfiauto.c
 *		The module's front door: magic block and _PG_init, nothing else.
 *
 * Every setting, hook and worker is registered by the module that owns it;
 * this file only says in which order.
 */
#include "postgres.h"

#include "base/guc.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	mfi_guc_define();
}
