"""`surefoot view`: all runs, and their cards side by side, in the browser of this machine."""

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.options import QuietOption
from surefoot.errors import InputError

__all__ = ["view"]


def view(
    runs: Annotated[Path, typer.Argument(metavar="[RUNS]", help="The folder of runs.")] = Path("runs"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free port.")] = 8765,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = False,
    quiet: QuietOption = False,
) -> int:
    """Show all runs and their cards in the browser; only this machine can see them."""
    from surefoot.cli.server import serve

    if not runs.is_dir():
        raise InputError(f"There is no folder {runs}; run a study first, or name the folder of runs.")
    try:
        server = serve(runs, port)
    except OSError as error:
        raise InputError(f"Port {port} cannot be used ({error.strerror}); choose another with --port 0.") from None
    address = f"http://127.0.0.1:{server.server_port}/"
    print(address if quiet else f"Your runs: {address}  (Ctrl-C ends it)", flush=True)
    if browser:
        import webbrowser

        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # the ordinary way to end it
    finally:
        server.server_close()
    return 0
