/*
 * owner.h
 *		Running with the rights of another role: the installation's owner, or
 *		the owner of a workflow whose conditions are evaluated.
 */
#ifndef MFI_BASE_OWNER_H
#define MFI_BASE_OWNER_H

typedef struct MfiOwnerScope
{
	Oid			saved_user;
	int			saved_context;
	int			guc_level;
} MfiOwnerScope;

/* The schema version that this library's code works with. */
#define MFI_SCHEMA_VERSION 1

/* Whether install() has run here. Needs a transaction. */
extern bool mfi_owner_is_installed(void);

/* schema_version of the tables; 0 when not installed. Needs a transaction and a snapshot. */
extern int	mfi_owner_schema_version(void);

/* The installation's owner; 55000 with a HINT when not installed. */
extern Oid	mfi_owner_installation(void);

/* Who called the outermost door of the running call, else the current role. */
extern Oid	mfi_owner_caller(void);

/*
 * The role that what a role wrote runs as: itself, but the name of a superuser,
 * or of a role of PostgreSQL's own such as pg_read_all_data, must not give the
 * installation's owner, who keeps it, more than he has.
 */
extern Oid	mfi_owner_rights(Oid role);

/*
 * Takes on a role's rights, with search_path pinned; is_restricted also
 * forbids what SECURITY_RESTRICTED_OPERATION forbids. An error's abort undoes
 * it too; else leave in reverse order. Settings are then what they were.
 */
extern void mfi_owner_enter(MfiOwnerScope *scope, Oid role, bool is_restricted);

/*
 * The same for what a role wrote: restricted, and nothing that it calls, however
 * deep, can write or leave a setting behind. Doors that it calls are called by
 * that role, whoever runs it.
 */
extern void mfi_owner_enter_author(MfiOwnerScope *scope, Oid role);
extern void mfi_owner_leave(MfiOwnerScope *scope);

/*
 * Has SQL of authors read alike, whatever their sessions make of backslashes,
 * dates and null comparisons, until the caller's GUC nest level ends.
 */
extern void mfi_owner_pin_reading(void);

#endif							/* MFI_BASE_OWNER_H */
