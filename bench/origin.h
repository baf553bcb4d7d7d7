#pragma once

/*
 * origin - "osb-bench origin": a TLS server that costs little and counts what reached it.
 *
 *   Layer   program (osb-bench).
 *   Gives   the program's exit code.
 */
int origin_main(int argc, char **argv);
