"""Trained models as files that run without this package.

`export_student` and `export_teacher` write a folder: a program or weights, a script of ten lines
that runs it, and inputs with the outputs that it must give.
"""

from raydistill.export.errors import ExportError
from raydistill.export.export import Exported, export_student, export_teacher
from raydistill.export.formats import FORMATS, Format

__all__ = ["FORMATS", "ExportError", "Exported", "Format", "export_student", "export_teacher"]
