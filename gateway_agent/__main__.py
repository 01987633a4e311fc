"""`python -m gateway_agent` is the same as `gateway-agent`."""

from gateway_agent.cli import main

if __name__ == "__main__":
    main()
