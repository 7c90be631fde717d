"""A host for WebAssembly components that handle HTTP requests, on wasmtime-py.

wasmtime-py compiles a component and calls its functions. It has no server for `wasi:http/incoming-handler`: nothing in
it makes an incoming request, or takes the response. And resources of its own WASI cannot be used by host functions in
Python. So this package gives all that a component imports, in Python:

    wsgi.py        a component as a WSGI application
    pool.py        instances that are used again
    runtime.py     a compiled component, and an instance of it
    exchange.py    one request, and the answer to it
    imports.py     what a component imports, as classes and methods of Python
    wit.py         values of WIT, as host functions see them
    lock.py        why one thread at a time is inside wasmtime-py

The interfaces, each under the name that it has in WIT:

    wasi_http.py (with http_fields.py and http_bodies.py), outgoing.py, wasi_io.py, wasi_clocks.py, wasi_cli.py
    key_value.py (fermyon:spin/key-value, wasi:keyvalue), sqlite_store.py, variables.py, postgres.py
"""
