/*
 * guc.h
 *		The settings of mfiauto. Each is documented where it is defined.
 */
#ifndef MFI_BASE_GUC_H
#define MFI_BASE_GUC_H

typedef enum MfiDeliveryMode
{
	MFI_DELIVERY_OFF,
	MFI_DELIVERY_DRY_RUN,
	MFI_DELIVERY_LIVE,
} MfiDeliveryMode;

extern bool mfi_guc_workers;
extern int	mfi_guc_delivery;
extern int	mfi_guc_engine_interval_ms;
extern int	mfi_guc_batch_size;
extern int	mfi_guc_condition_timeout_ms;
extern int	mfi_guc_segment_timeout_ms;
extern int	mfi_guc_connections;
extern int	mfi_guc_max_downtime_s;
extern char *mfi_guc_private_hosts;
extern char *mfi_guc_only_recipients;
extern char *mfi_guc_site_file;
extern char *mfi_guc_ca_file;
/* Who called the outermost door, an Oid; 0 outside. A setting because errors then put it back as they do the rights. */
extern int	mfi_guc_caller;

extern void mfi_guc_define(void);

#endif							/* MFI_BASE_GUC_H */
