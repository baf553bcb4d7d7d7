#pragma once
#include "desk.h"

/*
 * verbs - every command of osbctl; the table of main.c says which words lead here.
 *
 *   Layer   program (osbctl).
 *   Takes   d     settled, and opened where the table says so.
 *           words what stands behind the verb, as many as the table asks for.
 */
typedef enum outcome verb_fn(struct desk *d, const char *const *words);

verb_fn key_init, key_rotate, key_list, key_drop;
verb_fn store_create, store_list, store_get, store_update, store_delete;
verb_fn secret_set, secret_list, secret_get, secret_delete;
verb_fn sandbox_create, sandbox_fork, sandbox_move, sandbox_list, sandbox_get, sandbox_env, sandbox_ca;
verb_fn sandbox_extend, sandbox_delete;
verb_fn rules_nft, rules_iptables;
verb_fn sandbox_check, status_show, top_show;
verb_fn backup_write, restore_read, acl_print;
