"""Share: two tables of a graph for Cosmograph, by a click on its picture."""

from pipulate import CrudApp
from pipulate.plugins import _cosmograph


class Share(CrudApp):
    """Opens a graph in Cosmograph, a web app of somebody else."""

    menu_place = None  # it is opened from a picture


Share.rt("", methods=["GET"])(_cosmograph.ask)
Share.rt("", methods=["POST"])(_cosmograph.share)
