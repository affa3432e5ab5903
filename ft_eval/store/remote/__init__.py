"""Runs on object stores: everything is written to a working copy on this machine, and put into the store as it grows.

    url        what names a run, and where its working copy lies      opening   a run, to write it or to read it
    objects    the store: the one module that knows fsspec            pull      what the working copy lacks
    lease      one writer per run, by conditional writes              push      what the store lacks

Object stores know no append, no rename and no lock. So finished files are put whole, answers go as segments that are
never written twice, and whoever writes a run holds an object that only one can make.
"""
