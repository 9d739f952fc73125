# What crosses the data plane for a mixture of experts: rows of activations with the experts that are wanted for them, and what
# these answer. One message for each layer and node; its bytes are bounded by the fabric before they are parsed, and lie in
# one segment, so that the numbers can be read where they arrive.
#
# Activations are 32-bit IEEE floats, little endian, rows one after the other. Neighbouring versions understand each other as
# cluster.capnp says; a change of what the numbers mean is a new protocol number or a new numeric class.
@0xb3d0c1c6a2f4e097;

using Cxx = import "/capnp/c++.capnp";
using Cluster = import "cluster.capnp";
using Records = import "records.capnp";
$Cxx.namespace("troupe::schemas::experts");

struct ExpertWork {
  number @0 :UInt64;
  # Chosen by the sender, never used twice by it: the answer carries it.
  protocol @1 :UInt32;
  # 1. A server answers `unsupported` to any other.
  model @2 :Records.ModelClass;
  # A server computes for exactly this model and arithmetic, or answers `unsupported`.
  layer @3 :Int32;
  # From 0, dense ones included.
  hidden @4 :Int32;
  # Numbers in a row.
  rows @5 :Data;
  # The rows that are needed, each once: 4 * hidden bytes each.
  slots @6 :List(Slot);
  # At least one. The answer has their results in this order.

  struct Slot {
    row @0 :UInt32;
    # Of `rows`.
    expert @1 :UInt32;
  }
}

struct ExpertResults {
  number @0 :UInt64;
  # That of the work.
  protocol @1 :UInt32;
  hidden @2 :Int32;
  union {
    values @3 :Data;
    # What the experts answer, 4 * hidden bytes for each slot of the work.
    error :group {
      code @4 :Cluster.ErrorCode;
      message @5 :Text;
      # For a person, at most 1024 bytes.
    }
  }
}
