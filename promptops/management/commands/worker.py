"""A process that works on background runs of workflows and serves nobody."""

import asyncio
import logging
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from agents.providers import registry
from governance.clients.connections import ConnectionTable
from governance.realtime.runtime import with_database
from workflows.engine import supervisor
from workflows.runs import events

logger = logging.getLogger("promptops.workflows")


class Command(BaseCommand):
    help = "Work on background runs of workflows. Any number of these may run beside the server, on PostgreSQL."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--grace", type=float, default=30.0, help="seconds for steps under way when it is stopped")

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(work(options["grace"]))


async def work(grace: float) -> None:
    """Until SIGTERM or SIGINT. Runs that it has then are left where their next step begins, for others to take."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    async def in_thread(function: Any, *args: Any) -> Any:
        return await asyncio.to_thread(with_database, function, args)

    connections = ConnectionTable(in_thread)
    tasks: list[asyncio.Task[None]] = [asyncio.create_task(connections.run()), asyncio.create_task(events.announce())]
    tasks.append(asyncio.create_task(asyncio.to_thread(registry.warm_up)))  # the first run should not wait for it
    supervisor.start(takes_runs=True)
    logger.info("at work")
    await stopped.wait()
    logger.info("stopping, once the steps under way are done")
    await asyncio.to_thread(supervisor.stop, grace)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await connections.leave()
