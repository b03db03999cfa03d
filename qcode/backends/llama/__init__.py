"""llama.cpp in a child process that qcode starts and supervises: no port, no server."""
