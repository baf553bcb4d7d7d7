#pragma once
#include <check.h>

/*
 * brisk - assertions of Check that say nothing where they hold. Stands before every unit test, by -include.
 *
 *   Layer   test.
 *   Why     Check writes each assertion that held to a pipe, so that it can name the last one before a crash. That is most
 *           of the time of a test that asks for each octet; where it crashed the sanitizers say as well.
 *   Source  check.h 0.15.2, ck_assert_msg: all others come to this one.
 */
#undef ck_assert_msg
#define ck_assert_msg(expr, ...) \
    ((expr) ? (void)0 : _ck_assert_failed(__FILE__, __LINE__, "Assertion '" #expr "' failed", ##__VA_ARGS__))
