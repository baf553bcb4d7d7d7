#pragma once

/*
 * load - "osb-bench load": many connections, one loop, one result.
 *
 *   Layer   program (osb-bench).
 *   Gives   the program's exit code: 0, 1 when anything went wrong, 2 for the command line.
 */
int load_main(int argc, char **argv);
