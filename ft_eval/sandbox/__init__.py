"""Run Python that nobody has read. The program goes in with its inputs; its answers come back as plain data.

The verdict is outside: this package knows no task, no expected value and no test. It judges nothing; it says whether a
program loaded, answered, ran too long, ran out of memory or died, and hands its answers to whoever asked.

    sandbox.Sandbox     the one class to use: a warm fork server, one fresh confined child per program
    records             what goes in (Calls, Limits) and what comes out (ExecutionResult, Answer)
    wire                plain data as text, and when two such texts are equal
    box/                what runs on the other side of the wall

Nothing is imported here, because the server on the other side imports this package too and should stay small.
"""
