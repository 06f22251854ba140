"""Make the list files of a data set from its official annotation files, or from a folder of class folders.

python tools/prepare/make_lists.py {folder,kinetics,mit,sthv1,sthv2,anet,hacs,ucf101,hmdb51} ROOT OUT [...]
"""

from slowfast.cli.data.make_lists import main

if __name__ == "__main__":
    main()
