"""`python -m demo.healthcheck URL`: exit 0 where the URL answers 200; the health check of images without wget."""

import sys
import urllib.request

if __name__ == "__main__":
    try:
        urllib.request.urlopen(sys.argv[1], timeout=3).close()
    except (OSError, IndexError) as error:
        sys.exit(f"demo.healthcheck {' '.join(sys.argv[1:])}: {error}")
