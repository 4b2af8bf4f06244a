// Driver for franz-go, a Go client with a codec of its own.
//
// The protocol is described in clients/driver.py. Argument: the bootstrap address.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// For a whole call, for what it writes, and for each request: a node may wait for a slow disk.
const (
	limit        = 160 * time.Second
	writeLimit   = 100 * time.Second
	requestLimit = 90 * time.Second
)

// record is a record as the protocol writes it; absent bytes are nil pointers.
type record struct {
	Partition *int32       `json:"p"`
	Offset    int64        `json:"o"`
	Timestamp *int64       `json:"ts"`
	Key       *string      `json:"k"`
	Value     *string      `json:"v"`
	Headers   [][2]*string `json:"h"`
}

// order holds the arguments of every action.
type order struct {
	Do         string            `json:"do"`
	Topic      string            `json:"topic"`
	Codec      string            `json:"codec"`
	Idempotent bool              `json:"idempotent"`
	Records    []record          `json:"records"`
	From       map[string]int64  `json:"from"`
	Count      int               `json:"count"`
	Seconds    int               `json:"seconds"`
	File       string            `json:"file"`
	Size       int               `json:"size"`
	Partition  int32             `json:"partition"`
	At         json.RawMessage   `json:"at"`
	Partitions json.RawMessage   `json:"partitions"`
	Configs    map[string]string `json:"configs"`
	Total      int               `json:"total"`
	Before     int64             `json:"before"`
	Group      string            `json:"group"`
	Member     string            `json:"member"`
}

// member is a group consumer that polls in the background.
type member struct {
	client   *kgo.Client
	mu       sync.Mutex
	assigned map[int32]bool
	seen     [][]any
	stop     context.CancelFunc
}

var (
	bootstrap string
	members   = map[string]*member{}
	adminOnce sync.Once
	adm       *kadm.Client
)

func admin() *kadm.Client {
	adminOnce.Do(func() {
		client, err := kgo.NewClient(
			kgo.SeedBrokers(bootstrap),
			kgo.MetadataMinAge(20*time.Millisecond),
			kgo.RequestTimeoutOverhead(requestLimit),
		)
		if err != nil {
			panic(err)
		}
		adm = kadm.NewClient(client)
		adm.SetTimeoutMillis(int32(requestLimit.Milliseconds()))
	})
	return adm
}

func encode(data []byte) *string {
	if data == nil {
		return nil
	}
	text := base64.StdEncoding.EncodeToString(data)
	return &text
}

func decode(text *string) []byte {
	if text == nil {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(*text)
	if err != nil {
		panic(err)
	}
	if data == nil {
		data = []byte{}
	}
	return data
}

// code is Kafka's number of an error, or nil if the broker did not send it.
func code(err error) any {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	return nil
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

// producer makes batches of at most `size` bytes: a large one lets a too large record reach the broker.
func producer(o order, partitioner kgo.Partitioner, size int32) (*kgo.Client, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.ProducerBatchCompression(codec(o.Codec)),
		kgo.ProducerBatchMaxBytes(size),
		kgo.RecordPartitioner(partitioner),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.ProduceRequestTimeout(requestLimit),
	}
	if !o.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	return kgo.NewClient(options...)
}

// either goes where a record says, and by key where it says nothing.
func either(o order) kgo.Partitioner {
	if len(o.Records) > 0 && o.Records[0].Partition != nil {
		return kgo.ManualPartitioner()
	}
	return kgo.StickyKeyPartitioner(nil)
}

func produce(ctx context.Context, o order) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	client, err := producer(o, either(o), 16<<20)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	placed := make([]any, len(o.Records))
	for i, r := range o.Records {
		out := &kgo.Record{Topic: o.Topic, Key: decode(r.Key), Value: decode(r.Value)}
		if r.Partition != nil {
			out.Partition = *r.Partition
		}
		if r.Timestamp != nil {
			out.Timestamp = time.UnixMilli(*r.Timestamp)
		}
		for _, pair := range r.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: *pair[0], Value: decode(pair[1])})
		}
		client.Produce(ctx, out, func(r *kgo.Record, err error) {
			if err != nil {
				fmt.Fprintln(os.Stderr, "produce:", err)
				placed[i] = map[string]any{"error": code(err)}
			} else {
				placed[i] = []any{r.Partition, r.Offset}
			}
		})
	}
	return placed, client.Flush(ctx)
}

func bulkProduce(ctx context.Context, o order) (any, error) {
	client, err := producer(o, kgo.ManualPartitioner(), 1000000)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	file, err := os.Open(o.File)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var mu sync.Mutex
	var failure error
	for {
		chunk := make([]byte, o.Size)
		if _, err := io.ReadFull(file, chunk); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		client.Produce(ctx, &kgo.Record{Topic: o.Topic, Value: chunk[:o.Size-1]}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failure = err
				mu.Unlock()
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return nil, err
	}
	return nil, failure
}

// read hands `take` up to `count` records from the given offsets, within the order's seconds.
func read(ctx context.Context, o order, from map[string]int64, take func(*kgo.Record)) error {
	offsets := map[int32]kgo.Offset{}
	for partition, offset := range from {
		number, err := strconv.Atoi(partition)
		if err != nil {
			return err
		}
		offsets[int32(number)] = kgo.NewOffset().At(offset)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: offsets}),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.Seconds)*time.Second)
	defer cancel()
	for seen := 0; seen < o.Count; {
		fetches := client.PollRecords(ctx, o.Count-seen)
		if ctx.Err() != nil {
			return nil
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return errs[0].Err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			seen++
			take(r)
		})
	}
	return nil
}

func consume(ctx context.Context, o order) (any, error) {
	records := []record{}
	err := read(ctx, o, o.From, func(r *kgo.Record) {
		timestamp := r.Timestamp.UnixMilli()
		out := record{Partition: &r.Partition, Offset: r.Offset, Timestamp: &timestamp, Key: encode(r.Key), Value: encode(r.Value)}
		out.Headers = [][2]*string{}
		for _, header := range r.Headers {
			out.Headers = append(out.Headers, [2]*string{&header.Key, encode(header.Value)})
		}
		records = append(records, out)
	})
	return records, err
}

func bulkConsume(ctx context.Context, o order) (any, error) {
	digest := sha256.New()
	err := read(ctx, o, map[string]int64{"0": 0}, func(r *kgo.Record) {
		digest.Write(r.Value)
		digest.Write([]byte{'\n'})
	})
	return hex.EncodeToString(digest.Sum(nil)), err
}

func offsetFor(ctx context.Context, o order) (any, error) {
	var listed kadm.ListedOffsets
	var err error
	var at int64
	switch string(o.At) {
	case `"earliest"`:
		listed, err = admin().ListStartOffsets(ctx, o.Topic)
	case `"latest"`:
		listed, err = admin().ListEndOffsets(ctx, o.Topic)
	default:
		if at, err = strconv.ParseInt(string(o.At), 10, 64); err != nil {
			return nil, err
		}
		listed, err = admin().ListOffsetsAfterMilli(ctx, at, o.Topic)
	}
	if err != nil {
		return nil, err
	}
	found, ok := listed.Lookup(o.Topic, o.Partition)
	if !ok {
		return nil, fmt.Errorf("no answer for partition %d", o.Partition)
	}
	if found.Err != nil {
		return nil, found.Err
	}
	// where no record is that late kadm puts the end, with no timestamp
	if at > 0 && found.Timestamp < 0 {
		return -1, nil
	}
	return found.Offset, nil
}

func join(o order) (any, error) {
	m := &member{assigned: map[int32]bool{}}
	change := func(to bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, partition := range parts[o.Topic] {
				if to {
					m.assigned[partition] = true
				} else {
					delete(m.assigned, partition)
				}
			}
		}
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumerGroup(o.Group),
		kgo.ConsumeTopics(o.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)),
		kgo.OnPartitionsRevoked(change(false)),
		kgo.OnPartitionsLost(change(false)),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.client, m.stop = client, cancel
	go func() {
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			m.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) {
				m.seen = append(m.seen, []any{r.Partition, r.Offset, encode(r.Value)})
			})
			m.mu.Unlock()
		}
	}()
	members[o.Member] = m
	return nil, nil
}

func assignment(o order) (any, error) {
	m := members[o.Member]
	m.mu.Lock()
	defer m.mu.Unlock()
	parts := []int{}
	for partition := range m.assigned {
		parts = append(parts, int(partition))
	}
	sort.Ints(parts)
	return parts, nil
}

func drained(o order) (any, error) {
	m := members[o.Member]
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := m.seen
	m.seen = nil
	if seen == nil {
		seen = [][]any{}
	}
	return seen, nil
}

func leave(o order) (any, error) {
	m := members[o.Member]
	delete(members, o.Member)
	m.stop()
	m.client.LeaveGroup()
	m.client.Close()
	return nil, nil
}

func committed(ctx context.Context, o order) (any, error) {
	var partitions []int32
	if err := json.Unmarshal(o.Partitions, &partitions); err != nil {
		return nil, err
	}
	found, err := admin().FetchOffsets(ctx, o.Group)
	if err != nil {
		return nil, err
	}
	offsets := map[string]int64{}
	for _, partition := range partitions {
		offset, ok := found.Lookup(o.Topic, partition)
		if !ok {
			offset.At = -1
		}
		offsets[strconv.Itoa(int(partition))] = offset.At
	}
	return offsets, nil
}

func topicConfigs(ctx context.Context, o order) (any, error) {
	described, err := admin().DescribeTopicConfigs(ctx, o.Topic)
	if err != nil {
		return nil, err
	}
	found, err := described.On(o.Topic, nil)
	if err != nil {
		return nil, err
	}
	configs := map[string]*string{}
	for _, entry := range found.Configs {
		configs[entry.Key] = entry.Value
	}
	return configs, found.Err
}

func setTopicConfigs(ctx context.Context, o order) (any, error) {
	changes := []kadm.AlterConfig{}
	for name, value := range o.Configs {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	answers, err := admin().AlterTopicConfigs(ctx, changes, o.Topic)
	if err != nil {
		return nil, err
	}
	answer, err := answers.On(o.Topic, nil)
	if err != nil {
		return nil, err
	}
	return nil, answer.Err
}

func administer(ctx context.Context, o order) (any, error) {
	switch o.Do {
	case "topics":
		details, err := admin().ListTopics(ctx)
		return details.Names(), err
	case "partitions":
		details, err := admin().ListTopics(ctx, o.Topic)
		if err != nil {
			return nil, err
		}
		return len(details[o.Topic].Partitions), details[o.Topic].Err
	case "create_topic":
		var partitions int32
		if err := json.Unmarshal(o.Partitions, &partitions); err != nil {
			return nil, err
		}
		configs := map[string]*string{}
		for name, value := range o.Configs {
			configs[name] = &value
		}
		_, err := admin().CreateTopic(ctx, partitions, 1, configs, o.Topic)
		return nil, err
	case "delete_topic":
		_, err := admin().DeleteTopic(ctx, o.Topic)
		return nil, err
	case "add_partitions":
		answers, err := admin().UpdatePartitions(ctx, o.Total, o.Topic)
		if err != nil {
			return nil, err
		}
		return nil, answers.Error()
	case "delete_records":
		offsets := kadm.Offsets{}
		offsets.AddOffset(o.Topic, o.Partition, o.Before, -1)
		answers, err := admin().DeleteRecords(ctx, offsets)
		if err != nil {
			return nil, err
		}
		return nil, answers.Error()
	case "groups":
		listed, err := admin().ListGroups(ctx)
		return listed.Groups(), err
	case "describe_group":
		described, err := admin().DescribeGroups(ctx, o.Group)
		if err != nil {
			return nil, err
		}
		group := described[o.Group]
		return map[string]any{"state": group.State, "members": len(group.Members)}, group.Err
	case "delete_group":
		_, err := admin().DeleteGroup(ctx, o.Group)
		return nil, err
	}
	return nil, fmt.Errorf("no action %q", o.Do)
}

func act(o order) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	switch o.Do {
	case "hello":
		return map[string]any{"client": "franz-go", "version": "v1.22.2", "cannot": []string{}}, nil
	case "produce":
		return produce(ctx, o)
	case "bulk_produce":
		return bulkProduce(ctx, o)
	case "consume":
		return consume(ctx, o)
	case "bulk_consume":
		return bulkConsume(ctx, o)
	case "offset_for":
		return offsetFor(ctx, o)
	case "topic_configs":
		return topicConfigs(ctx, o)
	case "set_topic_configs":
		return setTopicConfigs(ctx, o)
	case "committed":
		return committed(ctx, o)
	case "join":
		return join(o)
	case "assignment":
		return assignment(o)
	case "drained":
		return drained(o)
	case "commit":
		return nil, members[o.Member].client.CommitUncommittedOffsets(ctx)
	case "leave":
		return leave(o)
	}
	return administer(ctx, o)
}

func main() {
	bootstrap = os.Args[1]
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var o order
		if err := json.Unmarshal(line, &o); err != nil {
			_ = out.Encode(map[string]any{"error": nil, "text": err.Error()})
			continue
		}
		answer, err := act(o)
		if err != nil {
			fmt.Fprintln(os.Stderr, o.Do, err)
			_ = out.Encode(map[string]any{"error": code(err), "text": err.Error()})
			continue
		}
		_ = out.Encode(map[string]any{"ok": answer})
	}
	for _, m := range members {
		m.stop()
		m.client.LeaveGroup()
		m.client.Close()
	}
}
