/*
 * program.h
 *		From a definition that was read to the rows of a workflow's program.
 */
#ifndef MFI_ENGINE_PROGRAM_H
#define MFI_ENGINE_PROGRAM_H

#include "engine/definition.h"

/*
 * Checks the definition against the installation (templates, classes, bindings,
 * conditions, as the role that will own it) and returns the program as JSON:
 * {"version": a row of workflow_version, "steps": rows of workflow_step}. Needs
 * SPI.
 */
extern char *mfi_program_compile(MfiDefinition *definition, Oid owner);

#endif /* MFI_ENGINE_PROGRAM_H */
