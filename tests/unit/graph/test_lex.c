/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "impl.h"

/*
 * Statements as text: words in [], joined by blanks, one statement a line; a bad word as [!], a word that begins a
 * continuation line as [+...]. Pieces of a word are separated by |, quoted ones named by a letter.
 */
static void render_word(const struct lexer *lx, const struct word *w, FILE *to)
{
	static const char kinds[] = "\0sdtr";
	uint32_t i;

	fputs(w->starts_line ? "[+" : "[", to);
	if (w->bad) {
		fputs("!]", to);
		return;
	}
	for (i = 0; i < w->piece_count; i++) {
		const struct piece *p = lx->pieces + w->first_piece + i;

		if (i)
			putc('|', to);
		if (kinds[p->kind])
			fprintf(to, "%c:", kinds[p->kind]);
		fwrite(lx->file->text + p->from, 1, p->to - p->from, to);
	}
	putc(']', to);
}

static char *lex(const char *text, size_t len, size_t *errors)
{
	struct graph_file file = { .name = "t", .dir = ".", .text = text, .len = len };
	struct impl impl = { .files = &file };
	char *out = NULL;
	size_t size = 0, i;
	FILE *to = open_memstream(&out, &size);
	struct lexer lx;

	impl.diags_end = &impl.diags;
	lex_init(&lx, &impl, &file);
	while (lex_statement(&lx)) {
		for (i = 0; i < lx.word_count; i++)
			render_word(&lx, lx.words + i, to);
		putc('\n', to);
	}
	fclose(to);
	*errors = impl.graph.error_count;
	arena_free(&impl);
	return out;
}

static const struct {
	const char *text, *expected;
	size_t errors;
} rows[] = {
	{ "", "", 0 },
	{ "\n\n  \n\t\n", "", 0 },
	{ "# a comment", "", 0 },
	{ "  # indented\n#x\n", "", 0 },
	{ "a b\tc", "[a][b][c]\n", 0 },
	{ "a\nb\n", "[a]\n[b]\n", 0 },
	{ "a\r\nb\r\n", "[a]\n[b]\n", 0 },
	{ "a # b\nc", "[a]\n[c]\n", 0 },
	{ "a#b c#", "[a#b][c#]\n", 0 },
	/* continuation */
	{ "a\n b\n", "[a][+b]\n", 0 },
	{ "a\n\tb\n  c\nd", "[a][+b][+c]\n[d]\n", 0 },
	{ "a\n\n# x\n    # y\n  b\n", "[a][+b]\n", 0 },
	{ "  a\n  b\n c\n", "[a]\n[b]\n[c]\n", 0 },
	{ " a\n  b\n c\n  d", "[a][+b]\n[c][+d]\n", 0 },
	{ "\ta\n        b\n         c", "[a]\n[b][+c]\n", 0 },
	{ "a #x\n  b", "[a][+b]\n", 0 },
	/* quotes */
	{ "a='b c' d", "[a=|s:b c][d]\n", 0 },
	{ "'it''s'", "[s:it''s]\n", 0 },
	{ "''", "[s:]\n", 0 },
	{ "''''", "[s:'']\n", 0 },
	{ "a\"b\\\"c\"d'e'", "[a|d:b\\\"c|d|s:e]\n", 0 },
	{ "\"\"", "[d:]\n", 0 },
	{ "\"a # b\" '# c'", "[d:a # b][s:# c]\n", 0 },
	{ "\"\"\"a\n  b\n\"c\"\"\"\" d", "[t:a\n  b\n\"c\"][d]\n", 0 },
	{ "\"\"\"\"\"\"", "[t:]\n", 0 },
	{ "x\n  c=\"\"\"\na\nb\n\"\"\"\n  d\ne", "[x][+c=|t:\na\nb\n][+d]\n[e]\n", 0 },
	/* variables */
	{ "a${b c}d e", "[a${b c}d][e]\n", 0 },
	{ "${a:-${b c} d}'e'", "[${a:-${b c} d}|s:e]\n", 0 },
	{ "${a b", "[${a][b]\n", 0 },
	{ "${a#b 'c}d", "[${a#b 'c}d]\n", 0 },
	{ "${a#b '}'", "[!]\n", 1 },
	/* mistakes */
	{ "a 'b\nc", "[a][!]\n[c]\n", 1 },
	{ "a \"b\nc", "[a][!]\n[c]\n", 1 },
	{ "a \"b\\\nc", "[a][!]\n[c]\n", 1 },
	{ "a \"\"\"b\nc", "[a][!]\n", 1 },
	{ "\"\\d\" \"\\q\" x", "[!][!][x]\n", 2 },
	{ "\"\\n\\t\\r\\0\\\\\\\"\\$\"", "[d:\\n\\t\\r\\0\\\\\\\"\\$]\n", 0 },
	{ "a\x01z b\x02\x03 c", "[!][!][c]\n", 2 },
	{ "a\rb\nc", "[!]\n", 1 },
	{ "a\x7f", "[!]\n", 1 },
};

static void test_rows(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t errors;
		char *out = lex(rows[i].text, strlen(rows[i].text), &errors);

		if (strcmp(out, rows[i].expected) != 0)
			print_error("row %zu\n", i);
		assert_string_equal(out, rows[i].expected);
		assert_int_equal(errors, rows[i].errors);
		free(out);
	}
}

static void test_nul(void **state)
{
	size_t errors;
	char *out = lex("a b\0c\nd", 7, &errors);

	/* Binary: nothing behind it is looked at. */
	assert_string_equal(out, "[a][!]\n");
	assert_int_equal(errors, 1);
	free(out);
	out = lex("a '\0'\nd", 7, &errors);
	assert_string_equal(out, "[a][!]\n");
	assert_int_equal(errors, 1);
	free(out);
	out = lex("a \"\\\0\"\nd", 8, &errors);
	assert_string_equal(out, "[a][!]\n");
	assert_int_equal(errors, 1);
	free(out);
}

static void test_too_many_words(void **state)
{
	size_t len = 2 * (GRAPH_WORDS_MAX + 10), i, errors;
	char *text = malloc(len), *out;

	for (i = 0; i < len; i++)
		text[i] = i % 2 ? ' ' : 'x';
	out = lex(text, len, &errors);
	assert_int_equal(errors, 1);
	assert_int_equal(strlen(out), 3 * GRAPH_WORDS_MAX + 1);
	free(out);
	free(text);
}

/* Every cut of a text, with its bytes replaced one by one by every special character, ends. */
static void test_every_cut(void **state)
{
	static const char text[] =
		"a='b''c' \"d\\n${e:-f}\" \"\"\"\n g\n\"\"\" ${h:-${i}}\r\n  j # k\nl";
	static const char special[] = "'\"\\$\n\r\0 #{}\x01";
	size_t len = strlen(text), i, k, errors;
	char changed[sizeof(text)];

	for (i = 0; i <= len; i++) {
		free(lex(text, i, &errors));
		for (k = 0; k < sizeof(special) && i < len; k++) {
			memcpy(changed, text, sizeof(text));
			changed[i] = special[k];
			free(lex(changed, len, &errors));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_too_many_words),
		cmocka_unit_test(test_every_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
