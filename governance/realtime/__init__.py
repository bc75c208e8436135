"""From the change log to the sockets of this process. The change log is the truth; a wake-up is only a hint to look.

tail         reads what is new, once for the whole process
encoding     changes as texts, made once for all sockets
hub          hands each change to the sockets that it is for
sockets      open connections, each with its bounded queue
frames       every frame that a socket can get, as types; the close codes
consumer     the Channels consumer of /ws
handshake    the request that opens a socket: admitted or refused
stream       one accepted socket: backlog, then live
wire         the connection under a socket
snapshots    what a client missed that comes back
events       answers that are streams of server-sent events
credentials  whose connections may stay
runtime      starts and stops all of it with the server
"""
