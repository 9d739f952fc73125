// Joining and leases. What is said to homes is in cluster_messages_home.cpp, to engines in cluster_messages_engine.cpp.
#include "schemas/cluster_messages.hpp"

#include "schemas/cluster_codec.hpp"
#include "schemas/cluster_frame.hpp"

namespace troupe::schemas {

// Joining.

static_assert(static_cast<int>(policy::NodeState::gone) == static_cast<int>(cluster::NodeState::GONE));

namespace {

/// A name that may be that of nothing: a node that is new has no cluster yet.
template <class Tag>
Result<void> read_or_none(records::Name128::Reader in, Name128<Tag>& name) {
  if (in.getLow() == 0 && in.getHigh() == 0) return {};
  return read(in, name);
}

Result<void> read_address(capnp::Data::Reader in, std::string& address) {
  if (in.size() > ClusterLimits::address_bytes_max) {
    return Error{ErrorCode::too_large,
                 std::to_string(in.size()) + " bytes, expected at most " + std::to_string(ClusterLimits::address_bytes_max)};
  }
  address.assign(reinterpret_cast<const char*>(in.begin()), in.size());
  return {};
}

}  // namespace

void write(const policy::ReplicaView& replica, cluster::ReplicaView::Builder out) {
  out.setIndex(replica.index);
  out.setTier(to_wire(replica.tier));
  out.setModelName(text_of(replica.model_name));
  write(replica.model, out.initModel());
  out.setParameters(replica.parameters);
  out.setActiveParameters(replica.active_parameters);
  out.setContextMax(replica.context_max);
  out.setRunning(replica.running);
  out.setWaiting(replica.waiting);
  out.setBlocksTotal(replica.blocks_total);
  out.setBlocksFree(replica.blocks_free);
  out.setBlocksCached(replica.blocks_cached);
  out.setGeneratedTokens(replica.generated_tokens);
  out.setPromptTokens(replica.prompt_tokens);
  out.setReusedTokens(replica.reused_tokens);
  write(replica.block_root, out.initBlockRoot());
  out.setFault(text_of(replica.fault));
}
Result<void> read(cluster::ReplicaView::Reader in, policy::ReplicaView& replica) {
  replica.index = in.getIndex();
  TROUPE_TRY_DO(read_field("tier", [&] { return read(in.getTier(), replica.tier); }));
  TROUPE_TRY_DO(read_field("model_name", [&] { return read_name(in.getModelName(), replica.model_name); }));
  TROUPE_TRY_DO(read_field("model", [&] { return read(in.getModel(), replica.model); }));
  replica.parameters = in.getParameters();
  replica.active_parameters = in.getActiveParameters();
  replica.context_max = in.getContextMax();
  replica.running = in.getRunning();
  replica.waiting = in.getWaiting();
  replica.blocks_total = in.getBlocksTotal();
  replica.blocks_free = in.getBlocksFree();
  replica.blocks_cached = in.getBlocksCached();
  replica.generated_tokens = in.getGeneratedTokens();
  replica.prompt_tokens = in.getPromptTokens();
  replica.reused_tokens = in.getReusedTokens();
  TROUPE_TRY_DO(read_field("block_root", [&] { return read_or_none(in.getBlockRoot(), replica.block_root); }));
  return read_field("fault", [&] { return read_name(in.getFault(), replica.fault); });
}

void write(const policy::BlockTraffic& blocks, cluster::BlockTraffic::Builder out) {
  out.setFetchedBlocks(blocks.fetched_blocks);
  out.setFetchedBytes(blocks.fetched_bytes);
  out.setRestoredBlocks(blocks.restored_blocks);
  out.setWrongBlocks(blocks.wrong_blocks);
  out.setLentBlocks(blocks.lent_blocks);
  out.setHostBytes(blocks.host_bytes);
  out.setDiskBytes(blocks.disk_bytes);
}
Result<void> read(cluster::BlockTraffic::Reader in, policy::BlockTraffic& blocks) {
  blocks.fetched_blocks = in.getFetchedBlocks();
  blocks.fetched_bytes = in.getFetchedBytes();
  blocks.restored_blocks = in.getRestoredBlocks();
  blocks.wrong_blocks = in.getWrongBlocks();
  blocks.lent_blocks = in.getLentBlocks();
  blocks.host_bytes = in.getHostBytes();
  blocks.disk_bytes = in.getDiskBytes();
  return {};
}

void write(const policy::TransportView& transport, cluster::TransportView::Builder out) {
  out.setName(text_of(transport.name));
  out.setAddress({reinterpret_cast<const kj::byte*>(transport.address.data()), transport.address.size()});
  out.setScope(text_of(transport.scope));
}
Result<void> read(cluster::TransportView::Reader in, policy::TransportView& transport) {
  TROUPE_TRY_DO(read_field("name", [&] { return read_name(in.getName(), transport.name); }));
  TROUPE_TRY_DO(read_field("address", [&] { return read_address(in.getAddress(), transport.address); }));
  return read_field("scope", [&] { return read_name(in.getScope(), transport.scope); });
}

void write(const policy::LinkView& link, cluster::LinkView::Builder out) {
  out.setNode(text_of(link.node.value));
  out.setTransport(text_of(link.transport));
}
Result<void> read(cluster::LinkView::Reader in, policy::LinkView& link) {
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), link.node.value); }));
  return read_field("transport", [&] { return read_name(in.getTransport(), link.transport); });
}

void write(const policy::NodeView& node, cluster::NodeView::Builder out) {
  out.setId(text_of(node.id.value));
  out.setIncarnation(node.incarnation);
  out.setState(static_cast<cluster::NodeState>(node.state));
  out.setClusterAddress(text_of(node.cluster_address));
  out.setClientAddress(text_of(node.client_address));
  out.setLeases(node.leases);
  out.setVersion(text_of(node.version));
  out.setConversations(node.conversations);
  out.setTurns(node.turns);
  out.setCorpusVersion(text_of(node.corpus_version));
  out.setCorpusSections(node.corpus_sections);
  write_list(node.replicas, out.initReplicas(count_of(node.replicas)));
  out.setConversationsStored(node.conversations_stored);
  write_list(node.transports, out.initTransports(count_of(node.transports)));
  write_list(node.links, out.initLinks(count_of(node.links)));
  write_list(node.experts, out.initExperts(count_of(node.experts)));
  out.setExpertBytesFree(node.expert_bytes_free);
  out.setExpertsAlone(node.experts_alone);
  write(node.blocks, out.initBlocks());
  write(node.contracts, out.initContracts(static_cast<unsigned>(node.contracts.size())));
}
Result<void> read(cluster::NodeView::Reader in, policy::NodeView& node) {
  TROUPE_TRY_DO(read_field("id", [&] { return read_name(in.getId(), node.id.value); }));
  node.incarnation = in.getIncarnation();
  TROUPE_TRY_DO(read_field("state", [&] { return read_enum(in.getState(), policy::NodeState::gone, node.state); }));
  TROUPE_TRY_DO(read_field("cluster_address", [&] { return read_name(in.getClusterAddress(), node.cluster_address); }));
  TROUPE_TRY_DO(read_field("client_address", [&] { return read_name(in.getClientAddress(), node.client_address); }));
  node.leases = in.getLeases();
  TROUPE_TRY_DO(read_field("version", [&] { return read_name(in.getVersion(), node.version); }));
  node.conversations = in.getConversations();
  node.turns = in.getTurns();
  TROUPE_TRY_DO(read_field("corpus_version", [&] { return read_name(in.getCorpusVersion(), node.corpus_version); }));
  node.corpus_sections = in.getCorpusSections();
  TROUPE_TRY_DO(
      read_field("replicas", [&] { return read_list(in.getReplicas(), ClusterLimits::replicas_max, node.replicas); }));
  node.conversations_stored = in.getConversationsStored();
  TROUPE_TRY_DO(
      read_field("transports", [&] { return read_list(in.getTransports(), ClusterLimits::transports_max, node.transports); }));
  TROUPE_TRY_DO(read_field("links", [&] { return read_list(in.getLinks(), ClusterLimits::nodes_max, node.links); }));
  TROUPE_TRY_DO(
      read_field("experts", [&] { return read_list(in.getExperts(), ClusterLimits::expert_models_max, node.experts); }));
  node.expert_bytes_free = in.getExpertBytesFree();
  node.experts_alone = in.getExpertsAlone();
  TROUPE_TRY_DO(read_field("blocks", [&] { return read(in.getBlocks(), node.blocks); }));
  return read_field("contracts", [&] { return read(in.getContracts(), node.contracts); });
}

void write(const Hello& hello, cluster::Hello::Builder out) {
  out.setProtocol(hello.protocol);
  write(hello.cluster, out.initCluster());
  write(hello.node, out.initNode());
}
Result<void> read(cluster::Hello::Reader in, Hello& hello) {
  hello.protocol = in.getProtocol();
  TROUPE_TRY_DO(read_field("cluster", [&] { return read_or_none(in.getCluster(), hello.cluster); }));
  TROUPE_TRY_DO(read_field("node", [&] { return read(in.getNode(), hello.node); }));
  return {};
}

void write(const Welcome& welcome, cluster::Welcome::Builder out) {
  write(welcome.cluster, out.initCluster());
  write_list(welcome.nodes, out.initNodes(count_of(welcome.nodes)));
  out.setNode(text_of(welcome.node.value));
}
Result<void> read(cluster::Welcome::Reader in, Welcome& welcome) {
  TROUPE_TRY_DO(read_field("cluster", [&] { return read_or_none(in.getCluster(), welcome.cluster); }));
  TROUPE_TRY_DO(read_field("nodes", [&] { return read_list(in.getNodes(), ClusterLimits::nodes_max, welcome.nodes); }));
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), welcome.node.value); }));
  return {};
}

void write(const Announce& announce, cluster::Announce::Builder out) { write(announce.node, out.initNode()); }
Result<void> read(cluster::Announce::Reader in, Announce& announce) {
  TROUPE_TRY_DO(read_field("node", [&] { return read(in.getNode(), announce.node); }));
  return {};
}

void write(const NodeDrain& drain, cluster::NodeDrain::Builder out) { out.setNode(text_of(drain.node.value)); }
Result<void> read(cluster::NodeDrain::Reader in, NodeDrain& drain) {
  return read_field("node", [&] { return read_name(in.getNode(), drain.node.value); });
}

void write(const NodeJoin& join, cluster::NodeJoin::Builder out) { out.setNode(text_of(join.node.value)); }
Result<void> read(cluster::NodeJoin::Reader in, NodeJoin& join) {
  return read_field("node", [&] { return read_name(in.getNode(), join.node.value); });
}

// Leases.

void write(const LeaseKeep& keep, cluster::LeaseKeep::Builder out) {
  out.setNode(text_of(keep.node.value));
  out.setIncarnation(keep.incarnation);
}
Result<void> read(cluster::LeaseKeep::Reader in, LeaseKeep& keep) {
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), keep.node.value); }));
  keep.incarnation = in.getIncarnation();
  return {};
}

void write(const LeaseKept& kept, cluster::LeaseKept::Builder out) { out.setValidMs(kept.valid_ms); }
Result<void> read(cluster::LeaseKept::Reader in, LeaseKept& kept) {
  kept.valid_ms = in.getValidMs();
  return {};
}

void write(const LeaseAcquire& acquire, cluster::LeaseAcquire::Builder out) {
  write(acquire.conversation, out.initConversation());
  out.setNode(text_of(acquire.node.value));
  out.setIncarnation(acquire.incarnation);
  out.setCreate(acquire.create);
  out.setAfter(acquire.after);
}
Result<void> read(cluster::LeaseAcquire::Reader in, LeaseAcquire& acquire) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), acquire.conversation); }));
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), acquire.node.value); }));
  acquire.incarnation = in.getIncarnation();
  acquire.create = in.getCreate();
  acquire.after = in.getAfter();
  return {};
}

void write(const LeaseGrant& grant, cluster::LeaseGrant::Builder out) {
  out.setHome(text_of(grant.home.value));
  out.setEpoch(grant.epoch);
}
Result<void> read(cluster::LeaseGrant::Reader in, LeaseGrant& grant) {
  TROUPE_TRY_DO(read_field("home", [&] { return read_name(in.getHome(), grant.home.value); }));
  grant.epoch = in.getEpoch();
  return {};
}

void write(const LeaseLocate& locate, cluster::LeaseLocate::Builder out) { write(locate.conversation, out.initConversation()); }
Result<void> read(cluster::LeaseLocate::Reader in, LeaseLocate& locate) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), locate.conversation); }));
  return {};
}

void write(const LeaseMove& move, cluster::LeaseMove::Builder out) {
  write(move.conversation, out.initConversation());
  out.setFrom(text_of(move.from.value));
  out.setIncarnation(move.incarnation);
  out.setEpoch(move.epoch);
  out.setTo(text_of(move.to.value));
}
Result<void> read(cluster::LeaseMove::Reader in, LeaseMove& move) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), move.conversation); }));
  TROUPE_TRY_DO(read_field("from", [&] { return read_name(in.getFrom(), move.from.value); }));
  move.incarnation = in.getIncarnation();
  move.epoch = in.getEpoch();
  TROUPE_TRY_DO(read_field("to", [&] { return read_name(in.getTo(), move.to.value); }));
  return {};
}

TROUPE_CLUSTER_CODEC(Hello, cluster::Hello);
TROUPE_CLUSTER_CODEC(Welcome, cluster::Welcome);
TROUPE_CLUSTER_CODEC(Announce, cluster::Announce);
TROUPE_CLUSTER_CODEC(LeaseKeep, cluster::LeaseKeep);
TROUPE_CLUSTER_CODEC(LeaseKept, cluster::LeaseKept);
TROUPE_CLUSTER_CODEC(LeaseAcquire, cluster::LeaseAcquire);
TROUPE_CLUSTER_CODEC(LeaseGrant, cluster::LeaseGrant);
TROUPE_CLUSTER_CODEC(LeaseLocate, cluster::LeaseLocate);
TROUPE_CLUSTER_CODEC(LeaseMove, cluster::LeaseMove);
TROUPE_CLUSTER_CODEC(NodeDrain, cluster::NodeDrain);
TROUPE_CLUSTER_CODEC(NodeJoin, cluster::NodeJoin);

}  // namespace troupe::schemas
