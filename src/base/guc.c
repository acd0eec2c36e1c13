/*
 * guc.c
 *		Defines the settings of mfiauto.
 *
 * What may differ between the databases of a server is PGC_SUSET, so that
 * ALTER DATABASE ... SET works; the rest is read at start or on reload. No
 * secret is ever a setting: settings are visible to everybody.
 */
#include "postgres.h"

#include <limits.h>

#include "base/guc.h"
#include "utils/guc.h"

bool		mfi_guc_workers = true;
int			mfi_guc_delivery = MFI_DELIVERY_LIVE;
int			mfi_guc_engine_interval_ms = 1000;
int			mfi_guc_batch_size = 10000;
int			mfi_guc_condition_timeout_ms = 10000;
int			mfi_guc_segment_timeout_ms = 10 * 60 * 1000;
int			mfi_guc_connections = 64;
int			mfi_guc_max_downtime_s = 24 * 60 * 60;
char	   *mfi_guc_private_hosts = NULL;
char	   *mfi_guc_only_recipients = NULL;
char	   *mfi_guc_site_file = NULL;
char	   *mfi_guc_ca_file = NULL;

/* Read by activate_workflow(). */
int			mfi_guc_caller = 0;
static bool require_approval = false;

static const struct config_enum_entry delivery_modes[] = {
	{"off", MFI_DELIVERY_OFF, false},
	{"dry_run", MFI_DELIVERY_DRY_RUN, false},
	{"live", MFI_DELIVERY_LIVE, false},
	{NULL, 0, false}
};

/*
 * define_caller: a setting that is no setting; see guc.h.
 */
static void
define_caller(void)
{
	DefineCustomIntVariable("mfiauto.caller",
							"Who called the outermost door of mfiauto; nobody can set it.",
							NULL,
							&mfi_guc_caller,
							0, INT_MIN, INT_MAX,
							PGC_INTERNAL, GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							NULL, NULL, NULL);
}

/*
 * mfi_guc_define defines every setting; called once, by _PG_init.
 */
void
mfi_guc_define(void)
{
	DefineCustomIntVariable("mfiauto.batch_size",
							"Most enrollments or events that the engine handles in one transaction.",
							NULL,
							&mfi_guc_batch_size,
							10000, 1, 1000000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("mfiauto.ca_file",
							   "File of certificate authorities that gateways are checked against.",
							   "Empty: the system's own.",
							   &mfi_guc_ca_file,
							   "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomIntVariable("mfiauto.condition_timeout",
							"Longest time that one evaluation of a workflow's condition may take.",
							NULL,
							&mfi_guc_condition_timeout_ms,
							10000, 1, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("mfiauto.connections",
							"Most HTTP requests that a delivery worker keeps in flight.",
							NULL,
							&mfi_guc_connections,
							64, 1, 1000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("mfiauto.delivery",
							 "Whether messages leave: live, dry_run (kept in a table), or off.",
							 "Live delivery also needs arm_delivery().",
							 &mfi_guc_delivery,
							 MFI_DELIVERY_LIVE, delivery_modes,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mfiauto.engine_interval",
							"Longest time between two passes of the engine worker.",
							"A commit on a bound table wakes it at once.",
							&mfi_guc_engine_interval_ms,
							1000, 10, 60 * 60 * 1000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("mfiauto.max_downtime",
							"Age of the last heartbeat beyond which delivery is held until released.",
							NULL,
							&mfi_guc_max_downtime_s,
							24 * 60 * 60, 60, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable("mfiauto.only_recipients",
							   "Comma-separated addresses that may be written to; empty: all.",
							   "For staging servers.",
							   &mfi_guc_only_recipients,
							   "", PGC_SUSET, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomStringVariable("mfiauto.private_hosts",
							   "Comma-separated hosts on loopback or private networks that gateways may use, also by plain http.",
							   "Each is host or host:port.",
							   &mfi_guc_private_hosts,
							   "", PGC_SUSET, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomIntVariable("mfiauto.segment_timeout",
							"Longest time that the query of a segment may take over all clients.",
							"Over the clients of one batch it is mfiauto.condition_timeout.",
							&mfi_guc_segment_timeout_ms,
							10 * 60 * 1000, 1, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("mfiauto.require_approval",
							 "A workflow's version goes live only after a second person approved it.",
							 "See approve_workflow().",
							 &require_approval,
							 false, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("mfiauto.site_file",
							   "File outside the data directory whose content names this site.",
							   "Part of what arm_delivery() remembers, so that an identical copy of the machine does not send.",
							   &mfi_guc_site_file,
							   "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomBoolVariable("mfiauto.workers",
							 "Runs the engine and the delivery worker.",
							 "Off stops them in the server, or in the database that it is set for.",
							 &mfi_guc_workers,
							 true, PGC_SUSET, 0, NULL, NULL, NULL);
	define_caller();
	MarkGUCPrefixReserved("mfiauto");
}
