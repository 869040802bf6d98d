"""Output of any size from a real kernel: head and tail come back with a count, and the kernel keeps its variables."""

from __future__ import annotations

import pytest

from spatialclaw_ros.kernel.cell import CellResult
from spatialclaw_ros.kernel.session import KernelSession

pytestmark = pytest.mark.process

MOST = 66_000


@pytest.fixture
def keeping(strongest: KernelSession) -> KernelSession:
    """A kernel with a variable that has to be there afterwards."""
    strongest.execute("kept = 5")
    yield strongest
    assert strongest.execute("print(kept)").stdout == "5\n"


def assert_cut(result: CellResult, least: int) -> None:
    assert len(result.stdout.encode()) < MOST and result.truncated_bytes > least
    assert f"[... {result.truncated_bytes} bytes left out ...]" in result.stdout


def test_one_line_of_twenty_megabytes_keeps_head_and_tail(keeping: KernelSession) -> None:
    result = keeping.execute("print('first'); print('x' * 20_000_000); print('last')", 30.0)
    assert result.status == "ok" and result.stdout.startswith("first\nxxx") and result.stdout.endswith("xxx\nlast\n")
    assert_cut(result, 19_900_000)


def test_many_lines_keep_the_first_and_the_last(keeping: KernelSession) -> None:
    result = keeping.execute("for i in range(200_000): print(i, 'y' * 1000)", 60.0)
    assert result.status == "ok" and result.stdout.startswith("0 yyy") and "\n199999 yyy" in result.stdout
    assert_cut(result, 199_000_000)


def test_value_of_thirty_megabytes_keeps_head_and_tail(keeping: KernelSession) -> None:
    result = keeping.execute("print('before')\n'x' * 30_000_000", 30.0)
    assert result.status == "ok" and result.stdout.startswith("before\n'xxx") and result.stdout.endswith("xxx'\n")
    assert_cut(result, 29_900_000)


def test_error_of_thirty_megabytes_keeps_head_and_tail(keeping: KernelSession) -> None:
    result = keeping.execute("raise ValueError('start' + 'x' * 30_000_000 + 'end')", 30.0)
    assert result.status == "error" and result.error is not None and result.error.name == "ValueError"
    assert result.error.message.startswith("startxxx") and result.error.message.endswith("xxxend")
    assert "bytes left out" in result.error.message and len(result.error.message) < 4000
    assert "ValueError: startxxx" in result.error.traceback and result.error.line == 1


def test_endless_print_is_interrupted_and_its_head_and_tail_come_back(keeping: KernelSession) -> None:
    code = "print('first')\nn = 0\nwhile True:\n    n += 1\n    print(n, 'y' * 1000)"
    result = keeping.execute(code, 1.0)
    assert result.status == "timeout" and result.error is not None and result.error.name == "KeyboardInterrupt"
    assert result.stdout.startswith("first\n1 yyy")
    assert_cut(result, 1_000_000)
    last = int(keeping.execute("print(n)").stdout)
    assert f"\n{last - 1} yyy" in result.stdout


def test_endless_display_is_interrupted_too(keeping: KernelSession) -> None:
    result = keeping.execute("while True: display('z' * 1000)", 1.0)
    assert result.status == "timeout" and result.stdout.startswith("'zzz")
    assert len(result.stdout.encode()) < MOST


def test_cut_text_is_in_the_order_in_which_it_was_written(keeping: KernelSession) -> None:
    code = "import sys\nprint('a' * 40_000)\nprint('error', file=sys.stderr)\ndisplay('shown')\nprint('out')\n'value'"
    result = keeping.execute(code)
    assert result.stdout.endswith("a\nerror\n'shown'\nout\n'value'\n")
    assert result.truncated_bytes == 0 and result.stdout.startswith("a" * 40_000)


def test_cut_between_bytes_of_a_character_leaves_no_broken_one(keeping: KernelSession) -> None:
    result = keeping.execute("print('a' + 'é' * 100_000)")
    assert "�" not in result.stdout
    assert len(result.stdout.replace("\n", "").encode()) <= MOST
    kept = result.stdout.count("é")
    assert result.truncated_bytes == 2 * (100_000 - kept)


def test_text_that_is_not_unicode_is_printed_with_marks(keeping: KernelSession) -> None:
    assert keeping.execute("print('a' + chr(0xd800) + 'b')").stdout == "a?b\n"


def test_next_cell_has_its_full_share_of_text(keeping: KernelSession) -> None:
    keeping.execute("print('x' * 200_000)")
    result = keeping.execute("print('z' * 60_000)")
    assert (result.stdout, result.truncated_bytes) == ("z" * 60_000 + "\n", 0)


def test_picture_beyond_any_message_is_left_out_and_the_kernel_lives(keeping: KernelSession) -> None:
    code = (
        "from IPython.display import publish_display_data\n"
        "publish_display_data({'image/png': 'A' * 30_000_000, 'text/plain': 'large'})\nprint('after')"
    )
    result = keeping.execute(code, 30.0)
    assert result.status == "ok" and result.stdout == "after\n" and result.pictures == ()
    assert any("1 pictures were left out" in note for note in result.notes)


def test_error_whose_text_fails_comes_back_at_once_by_its_name(keeping: KernelSession) -> None:
    keeping.execute("class Odd(Exception):\n    def __str__(self): raise RuntimeError('no text')")
    result = keeping.execute("raise Odd()", 20.0)
    assert result.status == "error" and result.error is not None and result.error.name == "Odd"
    assert result.error.line == 1


def test_help_and_pagers_do_not_break_the_reply(keeping: KernelSession) -> None:
    result = keeping.execute("get_ipython().set_next_input('x' * 30_000_000)", 30.0)
    assert result.status == "ok"
