"""How long a fetch takes, in ms, one every 5 ms: `python -m bench.load.probe <port> <path> <token> <seconds>`."""

import http.client
import sys
import time


def main(port: str, path: str, token: str, seconds: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"answered {answer.status}")
        print((time.perf_counter() - began) * 1000)  # noqa: T201
        time.sleep(0.005)


if __name__ == "__main__":
    main(*sys.argv[1:])
