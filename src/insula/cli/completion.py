"""`insula completion`: a shell's words for completing verbs, options, recipes and paths."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from insula.cli.output import emit, json_option
from insula.core.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_INSULA_COMPLETE"  # by which click knows that a shell asks
_INSTALL = """\b
bash:  insula completion bash > ~/.local/share/bash-completion/completions/insula
zsh:   insula completion zsh > ~/.zfunc/_insula   (fpath+=~/.zfunc before compinit in ~/.zshrc)
fish:  insula completion fish > ~/.config/fish/completions/insula.fish"""


@click.command(epilog=_INSTALL)
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the script by which SHELL completes insula's verbs, options, names of recipes and paths.

    Write it where the shell looks for such scripts, and begin a new shell. It needs bash 4.4, zsh or fish 3.
    """
    from insula.cli.main import main

    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"There is no completion for '{shell}' here; there is for {', '.join(SHELLS)}.")
    # not that of the class for bash, which starts the bash of this machine and warns where it is too old
    script = ShellComplete.source(found(main, {}, "insula", VARIABLE))
    emit(as_json, {"shell": shell, "script": script}, script.rstrip())
