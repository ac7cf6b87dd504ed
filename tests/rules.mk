# SPDX-License-Identifier: BSD-2-Clause
# Every tests/unit/FOLDER/test_X.c is a cmocka program of its own, named FOLDER-test_X.
