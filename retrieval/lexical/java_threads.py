"""Lucene at work in threads of Java's own, while the one thread that talks to the JVM goes on.

pyjnius binds a method to its object by changing the method, for all threads: two threads of Python
could write into each other's objects. So what is to run beside is bound in Java, as a method
handle, and given to a pool there. Everything here is called on the Java thread.
"""

import functools
from typing import Any

from retrieval.lexical.jvm import java

THREADS = 2


@functools.cache
def add_documents() -> Any:
    """The method handle of `IndexWriter.addDocuments`."""
    kind = _type(java("java.lang.Long").TYPE, _class("java.lang.Iterable"))
    writer = _class("org.apache.lucene.index.IndexWriter")
    return _lookup().findVirtual(writer, "addDocuments", kind)


def start(method: Any, *arguments: Any) -> Any:
    """Call a method handle in the pool; the Future's `get` returns what it did, or raises."""
    for argument in arguments:
        method = method.bindTo(argument)
    given = java("java.util.ArrayList")()
    given.add(method)
    return _submit().invokeWithArguments(given)


@functools.cache
def _submit() -> Any:
    """A method handle that makes a Callable of another one and submits it to the pool.

    Both in one: Python cannot hold the Callable, whose class has no name to be looked up by.
    """
    handles = java("java.lang.invoke.MethodHandles")
    handle, task = (
        _class("java.lang.invoke.MethodHandle"),
        _class("java.util.concurrent.Callable"),
    )
    as_interface = _lookup().findStatic(
        _class("java.lang.invoke.MethodHandleProxies"),
        "asInterfaceInstance",
        _type(_class("java.lang.Object"), _class("java.lang.Class"), handle),
    )
    submit = _lookup().findVirtual(
        _class("java.util.concurrent.ExecutorService"),
        "submit",
        _type(_class("java.util.concurrent.Future"), task),
    )
    pool = java("java.util.concurrent.Executors").newFixedThreadPool(THREADS)
    as_task = as_interface.bindTo(task).asType(_type(task, handle))
    return handles.filterArguments(submit.bindTo(pool), 0, as_task)


def _lookup() -> Any:
    return java("java.lang.invoke.MethodHandles").publicLookup()


def _class(name: str) -> Any:
    return java("java.lang.Class").forName(name)


def _type(result: Any, *parameters: Any) -> Any:
    return java("java.lang.invoke.MethodType").methodType(result, *parameters)
