"""The peers' client, in a process of its own: as light as ours, and for S/MIME with the sealing in it."""

from __future__ import annotations

import asyncio

from bench.child import answer, quiet
from bench.peers.mail import MailClient
from bench.peers.mesh import MeshClient
from bench.peers.synapse import SynapseClient


async def main() -> None:
    mesh, synapse, mail = MeshClient(), SynapseClient(), MailClient()
    asked = (mesh.mesh_send, mesh.mesh_cycle, synapse.synapse_ready, synapse.synapse_cycle)
    await answer({method.__name__: method for method in (*asked, mail.mail_ready, mail.mail_cycle)})


if __name__ == "__main__":
    quiet()
    asyncio.run(main())
