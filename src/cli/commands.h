/* commands.h - the commands of the table. argv[0] is the command's name; the value is the process's exit code. */
#ifndef RT_CLI_COMMANDS_H
#define RT_CLI_COMMANDS_H

#define RT_COMMAND(name, fn, summary) int rt_cmd_##fn(int argc, char **argv);
#include "cli/commands.def"
#undef RT_COMMAND

#endif
