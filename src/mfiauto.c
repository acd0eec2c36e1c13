/*
 * mfiauto.c
 *		The module's front door: magic block and _PG_init, nothing else.
 *
 * Every setting, hook and worker is registered by the module that owns it;
 * this file only says in which order.
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/wake.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "worker/launcher.h"
#include "worker/roster.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	mfi_guc_define();
	/* pg_upgrade's servers are no place for workers. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	mfi_wake_define();
	mfi_roster_define();
	mfi_launcher_define();
}
