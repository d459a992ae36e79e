"""The command line: a table of verbs, each loaded only when it is called."""

from __future__ import annotations

import difflib
import json
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula import __version__
from insula.cli.output import point
from insula.core import parts, posix
from insula.core.errors import InsulaError, MissingPartError, UsageError, see_of
from insula.core.stopped import StoppedError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VERBS = {
    "demo": ("insula.cli.demo:demo", "Make patients, train, evaluate, explain: the whole line in one command."),
    "phantom": ("insula.cli.phantom:phantom", "Make a cohort of phantom patients with known truth."),
    "index": ("insula.cli.cohort:index", "Turn a folder of scans into a cohort table."),
    "join": ("insula.cli.join:join", "Join cohorts: CT and MR, or several slides, of each patient as one case."),
    "check": ("insula.cli.cohort:check", "Look for unreadable files, label clashes, leaks, shortcuts."),
    "deidentify": ("insula.cli.deidentify:deidentify", "Copy scans without what identifies their patients."),
    "leaks": ("insula.cli.leaks:leaks", "Show identical and near-duplicate pictures, across splits first."),
    "split": ("insula.cli.cohort:split", "Split a cohort by patient into train, val and test."),
    "prepare": ("insula.cli.training:prepare", "Decode and prepare all scans once, for training."),
    "pretrain": ("insula.cli.pretrain:pretrain", "Pretrain an encoder on slices without labels."),
    "search": ("insula.cli.search:search", "Search hyperparameters on the training and validation splits."),
    "train": ("insula.cli.training:train", "Train a network by a recipe and export its bundle."),
    "crossval": ("insula.cli.training:crossval", "Cross-validate a recipe with pooled out-of-fold predictions."),
    "export": (
        "insula.cli.export:export",
        "Write a finished run as a bundle, or a bundle as ONNX, safetensors or MONAI.",
    ),
    "bundle": ("insula.cli.bundle:bundle", "Verify a bundle, sign it, and make keys for that."),
    "optimise": ("insula.cli.optimise:optimise", "Make a bundle smaller or faster, and say what that costs."),
    "pareto": ("insula.cli.pareto:pareto", "Hold bundles against each other: size, time, accuracy."),
    "evaluate": ("insula.cli.evaluate:evaluate", "Evaluate a bundle on a cohort, with intervals and a report."),
    "audit": ("insula.cli.audit:audit", "Look for shortcuts, weak groups, and what disturbs a bundle."),
    "compare": ("insula.cli.compare:compare", "Compare two bundles or tables of predictions on the same cases."),
    "report": ("insula.cli.report:report", "Write the pages of an evaluation anew from its folder."),
    "predict": ("insula.cli.predict:predict", "Predict scans with a bundle."),
    "explain": ("insula.cli.explain:explain", "Show where in a scan a prediction's score comes from."),
    "maps": ("insula.cli.maps:maps", "Judge a bundle's heat maps: on lesions, by covering, with weights drawn anew."),
    "embed": ("insula.cli.embed:embed", "Keep what a network sees of each case, for features and similar."),
    "features": ("insula.cli.features:features", "Show stored embeddings as maps, with what they tell apart."),
    "similar": ("insula.cli.similar:similar", "Find the stored cases that look most alike to the network."),
    "serve": ("insula.cli.serve:serve", "Serve a bundle over HTTP."),
    "worker": ("insula.cli.worker:worker", "Work on the jobs of a service that keeps records."),
    "pacs": ("insula.cli.pacs:pacs", "Take scans from a PACS, ask it, and send results there."),
    "remote": ("insula.cli.remote:remote", "Use a service elsewhere: upload, predict, report, review."),
    "records": ("insula.cli.records:records", "Upgrade, sweep, export and erase the service's records."),
    "users": ("insula.cli.users:users", "Make and change the people of the service, and their API keys."),
    "audit-trail": ("insula.cli.audit_trail:audit_trail", "Verify, export and sign the trail of who did what."),
    "info": ("insula.cli.info:info", "What is installed, which recipes and entries there are."),
    "docs": ("insula.cli.docs:docs", "Print a page of the documents, or a part of it, such as errors#cohort."),
    "completion": ("insula.cli.completion:completion", "Print a shell's script for completing verbs and options."),
}


_ALSO = {  # what other tools call a verb
    "classify": "predict",
    "dashboard": "demo",
    "fit": "train",
    "heatmap": "explain",
    "help": "docs",
    "infer": "predict",
    "inference": "predict",
    "score": "evaluate",
    "test": "evaluate",
    "version": "info",
}


def _meant(word: str) -> list[str]:
    """The verbs that a word may mean: spelt nearly so, begun so, or called so elsewhere."""
    begun = [name for name in VERBS if name.startswith(word)]
    also = [_ALSO[name] for name in difflib.get_close_matches(word, _ALSO, 1, 0.8)]
    return list(dict.fromkeys([*difflib.get_close_matches(word, VERBS, 3), *also, *begun]))[:3]


class LazyVerbs(click.Group):
    """Lists verbs from the table above without importing any of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order in which they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the one verb that is called."""
        if name not in VERBS:
            return None
        module, _, attribute = VERBS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that is called; for a word that is none, the verbs that may be meant."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            close = _meant(args[0].lower())
            asked = f"is one of these meant: {', '.join(close)}?" if close else "insula --help lists them all."
            ctx.fail(f"There is no verb '{args[0]}'; {asked}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The table's verbs; click itself would import every one of them to ask whether it is hidden."""
        from click.shell_completion import CompletionItem

        verbs = [CompletionItem(name, help=line) for name, (_, line) in VERBS.items() if name.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table's own help lines, so that `insula --help` stays quick."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.command(cls=LazyVerbs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="insula")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Insula: from a folder of brain scans to a classifier that its owner can defend.

    Start with `insula demo`; without a verb it says what to do next. Research use only; not a medical device.
    """
    if ctx.invoked_subcommand is None:
        from insula.cli.first import first

        click.echo(first(Path.cwd()))


def run() -> None:
    """The entry point: an InsulaError becomes one sentence on standard error and its own exit code."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        point(see_of(UsageError.code))
        sys.exit(error.exit_code)
    except click.Abort as error:
        stopped = error.__cause__
        if isinstance(stopped, StoppedError):
            click.echo(f"insula: {stopped} {_again(sys.argv[1:])}", err=True)
            point("training")
            sys.exit(stopped.exit_code)
        click.echo("insula: stopped.", err=True)
        sys.exit(130)
    except InsulaError as error:
        _show(error)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:  # a part that no verb asked for by name
        if (elsewhere := posix.refusal(error)) is not None:
            _show(elsewhere)
            sys.exit(elsewhere.exit_code)
        part = parts.of_module(error.name or "")
        if not part:
            raise
        missing = MissingPartError(f"This needs {error.name}, which is not installed; run: {parts.install(part)}.")
        _show(missing)
        sys.exit(missing.exit_code)
    except OSError as error:
        if error.errno is None:
            raise
        what = f"'{error.filename}': {error.strerror}" if error.filename else str(error.strerror)
        _show(InsulaError(f"{what}; check the path, its rights and the free space."))
        sys.exit(InsulaError.exit_code)


def _again(words: list[str]) -> str:
    """How a verb that was stopped goes on: by --resume where it has one, and else by the same command."""
    command = main.get_command(click.Context(main), words[0]) if words else None
    if command is None or not any("--resume" in param.opts for param in command.params):
        return "The same command goes on from there."
    more = [] if "--resume" in words else ["--resume"]
    return f"Go on with: {shlex.join(['insula', *words, *more])}"


def _show(error: InsulaError) -> None:
    if "--json" in sys.argv:
        told = {"code": error.code, "message": str(error), "see": error.see}
        click.echo(json.dumps({"error": told}, ensure_ascii=False))
    click.echo(f"insula: {error}", err=True)
    point(error.see)
