#!/usr/bin/python3
"""Every 'supercloud …' command and make target that README and docs/ show is one that
there is: commands parse against the program's own command table (arguments,
options, which options take a value, required ones), targets are the Makefile's.
And 'make help' has a line for each, as it is in the Makefile."""
import os
import re
import shlex
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SC_BUILD", os.path.join(TOP, "build")))
n = failed = 0


def ok(good, name, why=""):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {name}", flush=True)
    if not good:
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def manual():
    """{command: (least arguments, most, {option: takes a value})} from the manual page."""
    out = subprocess.run([BUILD + "/bin/supercloud", "help", "--man"], stdout=subprocess.PIPE, check=True, text=True).stdout
    out = out.replace("\\-", "-")
    every, commands = {}, {}
    for part in re.split(r"^\.SH ", out, flags=re.M):
        if part.startswith("OPTIONS OF EVERY"):
            every = options_of(part)
    for part in re.split(r"^\.SS supercloud ", out, flags=re.M)[1:]:
        head, body = part.split("\n", 1)
        words = re.match(r"((?:[a-z-]+ ?)+)(.*)", head)
        name, args = words.group(1).strip(), words.group(2).split()
        least = sum(1 for a in args if not a.startswith("["))
        commands[name] = (least, len(args), options_of(body.split("\n.SH ")[0]))
    return commands, every


def options_of(text):
    return {m.group(1): bool(m.group(2)) for m in re.finditer(r"^\.B --([a-z-]+)( \S+)?$", text, re.M)}


def wrong_with(words, commands, every):
    """What is wrong with a command line; None: nothing.  A lone '…' stands for whatever is left."""
    name = next((" ".join(words[:k]) for k in (2, 1) if " ".join(words[:k]) in commands), None)
    if name is None:
        if len(words) == 1 and any(c.startswith(words[0] + " ") for c in commands):
            return None                                # Of a group: "supercloud provider".
        return "no such command"
    least, most, options = commands[name]
    open_end, n_args, rest = False, 0, words[len(name.split()):]
    while rest:
        word = rest.pop(0)
        if word in ("…", "..."):
            open_end = True
        elif word == "-o":
            rest[:1] = []
        elif word.startswith("--"):
            key = word[2:].split("=")[0]
            if key not in options and key not in every:
                return f"no option --{key}"
            if options.get(key, every.get(key)) and "=" not in word:
                if not rest:
                    return f"--{key} needs a value"
                rest.pop(0)
        else:
            n_args += 1
    if n_args > most:
        return f"takes at most {most} arguments"
    # In running text a command's name may stand alone.
    return f"needs {least} arguments" if 0 < n_args < least and not open_end else None


def commands_in(text):
    """The command lines of a document: those of code blocks and between backticks."""
    text = text.replace("\\\n", " ")
    shown = [m.group(1) for m in re.finditer(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))]
    fence = re.findall(r"```\w*\n(.*?)```", text, re.S)
    shown += [line for block in fence for line in block.split("\n")]
    shown += [line.strip() for line in text.split("\n") if line.startswith("    ")]
    for line in shown:
        line = re.sub(r"\s+#.*$", "", line)
        for part in re.split(r"\||&&", line):
            yield part.strip()


def main():
    commands, every = manual()
    ok(len(commands) > 40 and "provider publish" in commands and "wait" in commands["provider publish"][2],
       "the manual page names the commands and their options", sorted(commands))
    must_fail = ["vm lst", "vm list --nope", "node show a b", "provider add x", "vm create x --image"]
    taken = [c for c in must_fail if not wrong_with(c.split(), commands, every)]
    ok(not taken, "a command that there is not, or with wrong arguments, is found out", taken)
    makefile = read(os.path.join(TOP, "Makefile"))
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.M))
    pages = [os.path.join(TOP, f) for f in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "daemons/README.md")]
    for folder, _, files in os.walk(os.path.join(TOP, "docs")):
        pages += [os.path.join(folder, f) for f in sorted(files) if f.endswith(".md")]
    seen, bad, bad_targets, n_targets = 0, [], [], 0
    for page in pages:
        where = os.path.relpath(page, TOP)
        for line in commands_in(read(page)):
            found = re.match(r"(?:.*\bcli |(?:sudo |build/bin/)?)supercloud ([a-z].*)$", line)
            if found:
                seen += 1
                try:
                    words = shlex.split(found.group(1))
                except ValueError as e:
                    bad.append(f"{where}: {line}: {e}")
                    continue
                why = wrong_with(words, commands, every)
                if why:
                    bad.append(f"{where}: {line}: {why}")
            made = re.match(r"(?:[A-Z_]+=\S+ )*make ((?:-\S+ )*)([a-z][a-z0-9-]*)", line)
            if made:
                n_targets += 1
                if made.group(2) not in targets:
                    bad_targets.append(f"{where}: {line}")
    ok(seen >= 20 and not bad, f"{seen} 'supercloud' commands of the documents are commands of the program", "\n".join(bad) or seen)
    ok(n_targets >= 10 and not bad_targets, f"{n_targets} 'make' commands of the documents are targets of the Makefile",
       "\n".join(bad_targets) or n_targets)
    helped = set(re.findall(r"^([a-z][a-z0-9-]*):[^#\n]*##", makefile, re.M))
    out = subprocess.run(["make", "--no-print-directory", "-C", TOP, "help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    ok(all(re.search(rf"^  {t} +\S", out, re.M) for t in helped) and len(helped) > 15, "make help has a line for each target", out)
    ok(not [line for line in out.split("\n") if line != line.rstrip() or re.search(r"\S {20,}\S.* {20,}", line)],
       "its lines end where their text does", out)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
