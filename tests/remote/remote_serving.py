"""A server that takes in runs: remote_serving.py PORT FOLDER TOKEN [LOST_S]."""

import sys

from aiohttp import web

from scriptflow.store.inbox import Inbox
from scriptflow.web import collect, ingest

if len(sys.argv) > 4:
    collect.LOST_S = float(sys.argv[4])
    ingest._LOOK_S = 0.1
application = web.Application()
ingest.add_ingest(application, sys.argv[2], [sys.argv[3]], Inbox)
web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None)
