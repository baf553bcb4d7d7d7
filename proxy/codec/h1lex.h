#pragma once
#include "fault.h"
#include "slice.h"

/*
 * h1lex - screens the octets of an HTTP/1.1 head before any parser sees them.
 *
 *   Layer   codec.
 *   Why     the parsers of the field disagree on bare CR and LF, folded lines, blanks before a colon and controls; what two
 *           readers can read in two ways is refused here, so smuggling has nothing to work with.
 *   Bounds  one pass, no state but the offset.
 *   Source  RFC 9112 s.2.2, s.3, s.5.1, s.5.2; RFC 9110 s.5.5, s.5.6.2.
 */

/*
 * h1lex_end(in, from, end): where does the head end?
 *   Takes   in    what is held, from the first octet of the message on.
 *           *from where to go on looking; 0 at first; kept by the caller, so octets that trickle in cost linear time.
 *   Gives   *end  octets of the head, the empty line's CR LF included.
 *   Fails   FAULT_AGAIN        no empty line yet.
 *           FAULT_BAD_REQUEST  an LF without its CR before it, a CR without its LF behind it, a NUL: refused as soon as it
 *                              is seen, also when the head never ends.
 */
enum fault h1lex_end(struct slice in, size_t *from, size_t *end) CHECKED;

/*
 * h1lex_screen(head, request, lines): every line of a whole head (from h1lex_end) against the grammar.
 *   Takes   request  the first line is a request-line, else a status-line.
 *   Gives   *lines   how many field lines follow the first line: the parser must count the same.
 *   Fails   FAULT_BAD_REQUEST: a first line that is not three parts (a status-line's reason may be empty) with one SP
 *           between, a version other than HTTP/1.0 and HTTP/1.1, a control, blank, '#', '\', '"', '<', '>', '^', '`', '{',
 *           '|', '}' or octet above ASCII in the target, a name that is not 1*tchar right before its colon, a folded line
 *           (leading SP or HTAB), a value with a control other than HTAB.
 */
enum fault h1lex_screen(struct slice head, bool request, size_t *lines) CHECKED;

/* h1lex_fields(section, lines): the same for field lines alone: a trailer section with its empty line. */
enum fault h1lex_fields(struct slice section, size_t *lines) CHECKED;

/* h1lex_next(section, name, value): take the next line off screened field lines; the value without the blanks around it.
 * False: the empty line is next. */
bool h1lex_next(struct slice *section, struct slice *name, struct slice *value);
