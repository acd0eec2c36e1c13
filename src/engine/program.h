/*
 * program.h
 *		From a definition that was read to the rows of a workflow's program.
 *		Everything here needs SPI.
 */
#ifndef MFI_ENGINE_PROGRAM_H
#define MFI_ENGINE_PROGRAM_H

#include "engine/definition.h"
#include "lib/stringinfo.h"

/*
 * Checks the definition against the installation (templates, classes, bindings,
 * conditions, as the role that will own it) and returns the program as JSON:
 * {"version": a row of workflow_version, "steps": rows of workflow_step}.
 */
extern char *mfi_program_compile(MfiDefinition *definition, Oid owner);

/* program_action.c: the steps that do something other than send. */
extern void mfi_program_check_action(const MfiDefinition *definition, const MfiStep *step);
extern void mfi_program_write_action(StringInfo out, const MfiDefinition *definition, Oid owner,
									 const MfiStep *step);

extern void mfi_program_check_steps(const MfiDefinition *definition, List *steps);
extern void mfi_program_write_steps(StringInfo out, const MfiDefinition *definition, Oid owner,
									List *steps, int after);

#endif /* MFI_ENGINE_PROGRAM_H */
