"""index build, add, sync, remove, info, verify, reembed; index_vectors.py has one more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands import index_vectors

if TYPE_CHECKING:
    from retrieval.encoders.encoder import Encoder
    from retrieval.ingest.build import BuildReport, Progress
    from retrieval.ingest.preparing import Start

Sources = Annotated[
    list[Path], typer.Argument(metavar="SOURCE...", help="Files, folders, corpora.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="An index folder.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The index folder to make.")]
EncoderName = Annotated[
    str | None, typer.Option("--encoder", help="A folder or a hub id; 'none' for BM25 alone.")
]
Ocr = Annotated[bool, typer.Option("--ocr", help="Read scanned PDF pages too (an extra).")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at what cannot be read.")]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Read and encode on the Ray cluster there; 'local' starts one here (an extra).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the `index` group."""
    group = typer.Typer(help="Make, change and check index folders.", no_args_is_help=True)
    app.add_typer(group, name="index")
    group.command()(build)
    group.command()(add)
    group.command()(sync)
    group.command()(remove)
    group.command()(info)
    group.command()(verify)
    group.command()(reembed)
    index_vectors.register(group)


def build(
    sources: Sources,
    out: Out,
    encoder: EncoderName = None,
    resume: Annotated[bool, typer.Option(help="Complete a build that was stopped.")] = False,
    ocr: Ocr = False,
    strict: Strict = False,
    ray: Ray = None,
    json: Json = False,
) -> None:
    """Make an index of SOURCE: files, folders, a BEIR folder or corpus.jsonl, a DPR TSV."""
    from retrieval.ingest.build import build_index

    with _progress() as progress, _preparing(ray) as preparing:
        report = build_index(
            sources,
            out,
            encoder=_encoder(encoder),
            progress=progress,
            resume=resume,
            ocr=ocr,
            strict=strict,
            preparing=preparing,
        )
    _finish(report, json)


def add(
    folder: Folder,
    sources: Sources,
    encoder: EncoderName = None,
    ocr: Ocr = False,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Add what SOURCE holds to an index; files that are in it already are passed over."""
    from retrieval.ingest.build import add_sources
    from retrieval.ingest.sources import find_sources

    found = find_sources(sources)
    with _progress() as progress:
        report = add_sources(
            folder,
            found,
            encoder=_encoder_of(folder, encoder),
            progress=progress,
            ocr=ocr,
            strict=strict,
        )
    _finish(report, json)


def sync(
    source: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of documents.")],
    folder: Annotated[Path, typer.Option("--index", metavar="DIR", help="An index folder.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it, but do nothing.")] = False,
    encoder: EncoderName = None,
    ocr: Ocr = False,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Make an index hold the files of FOLDER and no others: what is new, changed, renamed, gone."""
    from app.commands.index_report import print_sync
    from app.console import print_json
    from retrieval.ingest.sync import plan_sync, report_of, sync_folder

    with _progress() as progress:
        if dry_run:
            report = report_of(folder, plan_sync(folder, source, progress))
        else:
            report = sync_folder(
                folder,
                source,
                encoder=_encoder_of(folder, encoder),
                progress=progress,
                ocr=ocr,
                strict=strict,
            )
    print_sync(report, dry_run)
    if json:
        print_json({"dry_run": dry_run, **asdict(report)})


def remove(
    folder: Folder,
    documents: Annotated[list[str], typer.Argument(help="Document ids or names.")],
    encoder: EncoderName = None,
    json: Json = False,
) -> None:
    """Remove documents; none of their words stays in the folder."""
    from app.console import print_json, say
    from retrieval.ingest.writer import IndexWriter

    with IndexWriter(folder, _encoder_of(folder, encoder)) as writer:
        ids = [id for named in documents for id in writer.find(named)]
        for id in ids:
            writer.remove(id)
        writer.commit()
    if json:
        print_json({"removed": ids})
    else:
        say(f"removed {len(ids)} documents from {folder}")


def info(folder: Folder, json: Json = False) -> None:
    """Say what an index holds and how it was made."""
    from app.commands.index_report import info_lines
    from app.console import print_json, print_text
    from retrieval.storage.manifest import describe
    from retrieval.storage.store import Store

    store = Store.open(folder)
    described = describe(store)
    store.close()
    if json:
        print_json(described)
    else:
        print_text("\n".join(info_lines(folder, described)))


def verify(folder: Folder, json: Json = False) -> None:
    """Read the whole index and say what is wrong with it; exit code 1 if anything is."""
    from app.console import print_json, say
    from retrieval.storage.verify import verify_index

    problems = verify_index(folder)
    if json:
        print_json({"problems": problems})
    for problem in problems:
        say(f"problem: {problem}")
    if problems:
        raise typer.Exit(1)
    say(f"{folder} is whole")


def reembed(
    folder: Folder,
    encoder: Annotated[
        str, typer.Option("--encoder", help="A folder or a hub id; 'none' for BM25 alone.")
    ],
    json: Json = False,
) -> None:
    """Give an index the vectors of another encoder, in place; a stopped run goes on."""
    from app.console import print_json, say
    from retrieval.ingest.reembed import reembed as embed_anew

    with _progress() as progress:
        chosen = _encoder(encoder)
        embed_anew(folder, chosen, lambda done, total: progress("encoding", done, total))
    if json:
        print_json({"encoder": asdict(chosen.info) if chosen else None})
    else:
        say(f"{folder} now has the vectors of {encoder}")


def _encoder(name: str | None) -> "Encoder | None":
    from retrieval.encoders.encoder import load_encoder

    return None if name == "none" else load_encoder(name)


def _encoder_of(folder: Path, name: str | None) -> "Encoder | None":
    """The encoder that an index was built with, found under `name` if that is given."""
    from retrieval.storage.store import Store

    store = Store.open(folder)
    built = store.encoder
    store.close()
    return _encoder(name or (built.id if built else "none"))


@contextmanager
def _preparing(address: str | None) -> Iterator["Start"]:
    """Where documents are parsed, cut and encoded: here, or on a Ray cluster."""
    from retrieval.ingest.preparing import prepare_here

    if address is None:
        yield prepare_here
        return
    from retrieval.cluster.connection import connected
    from retrieval.cluster.preparing import prepare_on

    with connected(address) as cluster:
        yield prepare_on(cluster)


def _finish(report: "BuildReport", json: bool) -> None:
    """Print the table, and the object for scripts; exit code 1 if nothing became ready."""
    from app.commands.index_report import print_build
    from app.console import print_json

    print_build(report)
    if json:
        print_json(asdict(report))
    if not report.ready:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator["Progress"]:
    """Two bars on standard error: sources read, passages encoded; if stopped, how to go on."""
    from app.console import progress as bars
    from app.console import say

    with bars() as shown:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage)
            shown.update(tasks[stage], completed=done, total=total)

        try:
            yield update
        except KeyboardInterrupt:
            say("stopped; what was committed is kept, the same command goes on from there")
            raise
