"""E-mail: a parcel as signed and encrypted mail. No channel uses it yet: nothing is sent or received."""
