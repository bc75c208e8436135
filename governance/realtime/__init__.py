"""From the change log to the sockets of this process. The change log is the truth; a wake-up is only a hint to look.

tail         reads what is new, once for the whole process
hub          hands each frame to the sockets that it is for
consumer     one socket: who, where, backlog, then live
wire         the connection under a socket
snapshots    what a client missed that comes back
events       answers that are streams of server-sent events
credentials  who may stay connected
registry     tells the database which sockets are open here
runtime      starts and stops all of it with the server
"""
