"""Shows that each assertion of the tests of infra/terraform can fail.

For each layer, the mutations of mutations.json are made in a copy, all at once, and `terraform test` runs with prod's variables: each
assertion must fail by its own message, and each run that expects a variable to be refused must not find it refused. An assertion
without a mutation is an error, so the table stays complete. `mutations.py LAYER...` does only these.

A mutation is [file, text, replacement, what fails]; spaces of the text match any white space. What fails is the assertion's
error_message, or the name of a run that expects a failure; a list, if it is several.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TERRAFORM = ROOT / "infra/terraform"
WORK = ROOT / "target/infra"


def expected_failures(layer):
    """What has to fail in a layer: messages of assertions, and names of runs that expect a failure."""
    found = set()
    for file in sorted((TERRAFORM / layer / "tests").glob("*.tftest.hcl")):
        text = file.read_text()
        # Of the assertions alone: the runs, too, have no other error_message.
        found.update(re.findall(r'error_message = "(.*)"', text))
        for run in re.split(r"^run ", text, flags=re.MULTILINE)[1:]:
            if "expect_failures" in run:
                found.add(run.split('"')[1])
    return found


def mutate(folder, layer, mutations):
    """Makes the mutations below `folder`; a text that is not there exactly once is an error."""
    for file, old, new, _ in mutations:
        path = folder / "infra/terraform" / (file if "/" in file else f"{layer}/{file}")
        pattern = r"\s+".join(re.escape(word) for word in old.split())
        text, count = re.subn(pattern, lambda _: new, path.read_text())
        if count != 1:
            sys.exit(f"{layer}: {old!r} is {count} times in {file}")
        path.write_text(text)


def split(folder, layer):
    """Gives each run a file of its own: Terraform skips the runs of a file after one that did not fail as expected."""
    for file in (folder / "infra/terraform" / layer / "tests").glob("*.tftest.hcl"):
        head, *runs = re.split(r"^(?=run )", file.read_text(), flags=re.MULTILINE)
        file.unlink()
        for run in runs:
            file.with_name(f"{file.name.split('.')[0]}-{run.split(chr(34))[1]}.tftest.hcl").write_text(head + run)


def test(folder, layer):
    """What failed, as messages and names of runs."""
    environment = dict(os.environ, TF_DATA_DIR=str(WORK / "data" / layer), TF_CLI_CONFIG_FILE=str(WORK / "terraformrc"))
    where = f"-chdir={folder / 'infra/terraform' / layer}"
    init = subprocess.run(["terraform", where, "init", "-backend=false", "-input=false", "-no-color"], env=environment, capture_output=True, text=True)
    if init.returncode != 0:
        return set(), [init.stderr]
    name = "management" if layer == "organization" else "prod"
    files = [f"../environments/{name}/{part}.tfvars" for part in ("common", layer)]
    options = [f"-var-file={file}" for file in files if (folder / "infra/terraform" / layer / file).exists()]
    output = subprocess.run(["terraform", where, "test", "-json", *options], env=environment, capture_output=True, text=True).stdout
    failed, broken = set(), []
    for line in output.splitlines():
        message = json.loads(line)
        if "diagnostic" in message and message["diagnostic"]["severity"] == "error":
            diagnostic = message["diagnostic"]
            if diagnostic["summary"] == "Test assertion failed":
                failed.add(diagnostic["detail"])
            elif diagnostic["summary"] == "Missing expected failure":
                failed.add(message["@testrun"])
            else:
                broken.append(f"{message.get('@testrun')}: {diagnostic['summary']}: {diagnostic['detail'][:300]}")
    return failed, broken


def main(layers):
    table = json.loads((TERRAFORM / "tests/mutations.json").read_text())
    survived = killed = 0
    for layer in layers or table:
        wanted = expected_failures(layer)
        failed, broken = set(), []
        for batch in table[layer]:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                shutil.copytree(TERRAFORM, folder / "infra/terraform")
                for part in ("charts", "observability"):
                    shutil.copytree(ROOT / part, folder / part)
                mutate(folder, layer, batch)
                split(folder, layer)
                got, problems = test(folder, layer)
                failed |= got
                broken += problems
        for message in sorted(wanted - failed):
            print(f"{layer}: nothing made this fail: {message}")
        for problem in broken:
            print(f"{layer}: {problem}")
        killed += len(wanted & failed)
        survived += len(wanted - failed)
        print(f"{layer}: {len(wanted & failed)} of {len(wanted)} assertions have failed, by {sum(map(len, table[layer]))} mutations", flush=True)
    print(f"{killed} passed, {survived} failed")
    sys.exit(1 if survived else 0)


main(sys.argv[1:])
