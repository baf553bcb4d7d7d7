#pragma once

/*
 * report - "osb-bench report": results as one page that needs no network and no script.
 *
 *   Layer   program (osb-bench).
 *   Gives   the program's exit code.
 */
int report_main(int argc, char **argv);
