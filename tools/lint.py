"""What the checks of the tree share: `check(root)` returns a list of faults; a check without arguments judges this tree,
with --self-test it shows that each kind of fault is caught."""
import pathlib
import sys
import tempfile


def prove(check, good, bad):
    """`good` {file: text} has no fault; adding one file of `bad` {words: (file, text)} gives one that says the words."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)

        def put(name, text):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

        for name, text in good.items():
            put(name, text)
        assert check(root) == [], check(root)
        for words, (name, text) in bad.items():
            put(name, text)
            faults = check(root)
            assert len(faults) == 1 and words in faults[0] and name in faults[0], (words, faults)
            (root / name).unlink()


def main(check, self_test, all_well):
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    faults = check(pathlib.Path(__file__).resolve().parent.parent)
    print("\n".join(faults) or all_well)
    return 1 if faults else 0
