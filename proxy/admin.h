#pragma once
#include "config.h"
#include <ev.h>
#include <sys/types.h>

/*
 * admin - a small HTTP server in the master: /healthz, /readyz, /metrics, /sandboxes.
 *
 *   Layer   program.  Used by: master.
 *   Why     it answers whatever the workers do, and changes nothing, so that whoever reaches it can only
 *           read numbers.
 *   Bounds  32 connections, the rest wait in the queue; a head of 4 KiB; 5 s from accept to close; one
 *           request each.
 *   Source  contract section 7.
 */
struct admin;

/*
 * admin_open(loop, config, group, out): listen where ${config} says.
 *   Takes   group   who else may use a unix socket (its mode is 0660); (gid_t)-1: the process' own.
 *   Fails   FAULT_SYSTEM, FAULT_NO_MEMORY: diag has said why. A socket that somebody answers on, and a name
 *           that is no socket, are left alone.
 */
enum fault admin_open(struct ev_loop *loop, const struct config *config, gid_t group,
                      struct admin **out) CHECKED;

/* Whether ${a} already is where ${config} wants it. */
bool admin_serves(const struct admin *a, const struct config *config);

/* admin_drain(a): from now on not ready. */
void admin_drain(struct admin *a);

/* admin_close(a): ends every connection and takes the socket's name away. */
void admin_close(struct admin *a);

/* admin_forget(a): in a forked process: close the descriptors and touch nothing that is the master's. */
void admin_forget(struct admin *a);
