"""A real nginx in front of a server, with buffering and compression on, as a proxy comes out of the box."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager

from tests.servers.process import dying_with_parent, free_port, new_folder

_PATIENCE = 10.0
_SETTINGS = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  gzip on;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {behind};
      proxy_buffering on;
      proxy_buffers 8 64k;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


def find_nginx() -> str | None:
    """The program, if it is installed."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


@contextmanager
def nginx_before(behind: str, program: str) -> Generator[str]:
    """A proxy in front of the server at `behind`; gives its URL."""
    folder, port = new_folder(), free_port()
    settings = folder / "nginx.conf"
    settings.write_text(_SETTINGS.format(folder=folder, port=port, behind=behind))
    command = [program, "-c", str(settings), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, preexec_fn=dying_with_parent(signal.SIGKILL))
    try:
        _await(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("nginx does not listen")
